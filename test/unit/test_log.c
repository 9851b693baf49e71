/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/log.h"
#include "test/lib/capture.h"

/* The line that is written, without its time. */
static char *line_of(const char *who, const char *text)
{
	static char out[8192];

	capture_begin();
	log_write(LOG_WARN, who, "%s", text);
	capture_end(out, sizeof(out));
	return out;
}

static void text_from_a_peer_is_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{"plain", "plain"},
		{"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
		{"\x1b[31mred\x7f", "\\x1b[31mred\\x7f"},
		{"say \"hi\" \\n", "say \\x22hi\\x22 \\x5cn"},
		{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		 "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xc2\x9b", "\\xc2\\x9b"},                   /* C1 */
		{"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond */
		{"\xe2\x82", "\\xe2\\x82"},                   /* cut */
		{"\xff", "\\xff"},
	};

	(void)state;
	log_setup(LOG_INFO, false);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char want[256];

		snprintf(want, sizeof(want), " warn  who: %s\n", t[i].out);
		assert_string_equal(strchr(line_of("who", t[i].in), ' '), want);
	}
}

static void a_json_line_is_json(void **state)
{
	static const char *const texts[] = {"plain", "a\n\"b\"\\", "\x1b\x7f",
					    "\xc3\xbc", "\xff\xc0"};
	json_error_t error;

	(void)state;
	log_setup(LOG_INFO, true);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *o = json_loads(line_of("a\"b", texts[i]), 0, &error);

		if (!o)
			fail_msg("%s", error.text);
		assert_string_equal(
			json_string_value(json_object_get(o, "level")), "warn");
		assert_string_equal(
			json_string_value(json_object_get(o, "who")), "a\"b");
		if (i < 4)
			assert_string_equal(
				json_string_value(json_object_get(o, "text")),
				texts[i]);
		json_decref(o);
	}
}

static void a_long_text_stays_one_whole_line(void **state)
{
	char text[4000];

	(void)state;
	for (int json = 0; json < 2; json++) {
		char *line;
		size_t n;

		log_setup(LOG_INFO, json);
		memset(text, '\n', sizeof(text) - 1); /* each grows */
		text[sizeof(text) - 1] = 0;
		line = line_of("who", text);
		n = strlen(line);
		assert_int_equal(line[n - 1], '\n');
		assert_ptr_equal(strchr(line, '\n'), line + n - 1);
		if (json)
			assert_memory_equal(line + n - 3, "\"}", 2);
	}
}

/* Whatever the text leaves of it; and no longer than what a pipe takes in one
 * piece, since other threads write, too. */
static void a_full_line_is_json_and_not_torn(void **state)
{
	char text[1024];
	size_t n;

	(void)state;
	for (size_t few = 0; few < sizeof(text); few++) {
		json_t *o;
		char *line;

		memset(text, 'a', sizeof(text) - 1);
		memset(text, '\n', few); /* each grows */
		text[sizeof(text) - 1] = 0;
		log_setup(LOG_INFO, true);
		line = line_of("who", text);
		assert_in_range(strlen(line), 1, PIPE_BUF);
		o = json_loads(line, 0, NULL);
		assert_non_null(o);
		json_decref(o);
		log_setup(LOG_INFO, false);
		line = line_of("who", text);
		n = strlen(line);
		assert_in_range(n, 1, PIPE_BUF);
		assert_int_equal(line[n - 1], '\n');
	}
}

static void levels_have_an_order(void **state)
{
	static const char *const names[] = {"error", "warn", "info", "debug",
					    "trace"};

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(log_level_parse(names[i]), i);
		log_setup((enum log_level)i, false);
		for (int k = 0; k < 5; k++)
			assert_int_equal(log_on((enum log_level)k), k <= i);
	}
	assert_int_equal(log_level_parse("loud"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

static void a_limit_counts_what_it_holds_back(void **state)
{
	struct log_limit l = {0};

	(void)state;
	assert_true(log_limit(&l, 5000));
	assert_string_equal(l.more, "");
	for (int i = 0; i < 7; i++)
		assert_false(log_limit(&l, 5999));
	assert_true(log_limit(&l, 6000));
	assert_string_equal(l.more, " (7 more like this)");
	assert_true(log_limit(&l, 7000));
	assert_string_equal(l.more, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_from_a_peer_is_escaped),
		cmocka_unit_test(a_json_line_is_json),
		cmocka_unit_test(a_long_text_stays_one_whole_line),
		cmocka_unit_test(a_full_line_is_json_and_not_torn),
		cmocka_unit_test(levels_have_an_order),
		cmocka_unit_test(a_limit_counts_what_it_holds_back),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}

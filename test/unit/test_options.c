/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "modes/options.h"
#include "test/lib/capture.h"

#define WORDS_MAX 20

static char file[] = "/tmp/wsp-options-XXXXXX";
static char said[4096]; /* on stderr */

static void write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The words of line are the arguments; they can be written to, as argv can. */
static int read_line(struct options *o, unsigned int mode, const char *line)
{
	static char words[512];
	char *argv[WORDS_MAX + 2] = {words}, *save;
	int argc = 0, code;

	snprintf(words, sizeof(words), "%s %s",
		 mode == MODE_SERVER ? "server" : "client", line);
	for (char *w = strtok_r(words, " ", &save); w && argc < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	capture_begin();
	code = options_read(o, mode, argc, argv);
	capture_end(said, sizeof(said));
	return code;
}

static void bad_input_says_what_and_where(void **state)
{
	static const struct {
		unsigned int mode;
		const char *line;
		const char *text[3]; /* parts of what is said */
	} t[] = {
		{MODE_SERVER, "--lisen 1", {"--lisen", "mean --listen"}},
		{MODE_SERVER, "--xyzzy", {"--xyzzy", "--help"}},
		{MODE_SERVER, "--socks", {"--socks", "unknown"}},
		{MODE_SERVER, "-x", {"-x", "unknown"}},
		{MODE_SERVER, "listen", {"listen", "--"}},
		{MODE_SERVER, "-", {"\"-\""}},
		{MODE_SERVER, "--", {"--"}},
		{MODE_SERVER, "--listen=65536", {"--listen", "65536", "port"}},
		{MODE_SERVER, "--listen :x", {"--listen", ":x"}},
		{MODE_SERVER, "--listen a.b:1", {"a.b:1", "not resolved"}},
		{MODE_SERVER, "--listen [::1", {"--listen", "[::1"}},
		{MODE_SERVER, "--token", {"--token", "needs a value"}},
		{MODE_SERVER, "--token-file /nonexistent", {"cannot read"}},
		{MODE_SERVER, "--allow-origin=1", {"takes no value"}},
		{MODE_SERVER, "--allow 1.2.3", {"--allow", "1.2.3", "CIDR"}},
		{MODE_SERVER, "--tls-cert c", {"--tls-key", "both"}},
		{MODE_SERVER, "--path a?b", {"--path", "not a path"}},
		{MODE_SERVER, "--grace -1", {"--grace", "-1", "seconds"}},
		{MODE_SERVER, "--grace nan", {"--grace", "nan"}},
		{MODE_SERVER, "--grace 1e9", {"--grace", "86400"}},
		{MODE_SERVER, "--connect-timeout 0", {"more than 0"}},
		{MODE_SERVER, "--tcp-keepalive 1.5", {"whole number"}},
		{MODE_SERVER, "--tcp-keepalive 32768", {"32767"}},
		{MODE_SERVER, "--ready-fd 999", {"open descriptor"}},
		{MODE_SERVER, "--ready-file /nowhere/x", {"folder"}},
		{MODE_SERVER, "--max-memory 1K", {"at least 1M"}},
		{MODE_SERVER, "--max-memory 99999999999G", {"64M"}},
		{MODE_SERVER, "--max-memory 1MB", {"64M"}},
		{MODE_SERVER, "--max-unauthenticated 0", {"1 to 65535"}},
		{MODE_SERVER, "--max-unauthenticated 1x", {"1 to 65535"}},
		{MODE_SERVER, "--max-unauthenticated 65536", {"1 to 65535"}},
		{MODE_SERVER, "--workers 0", {"--workers", "1 to 64"}},
		{MODE_SERVER, "--workers -1", {"--workers", "1 to 64"}},
		{MODE_SERVER,
		 "--workers 9 --max-memory 8M",
		 {"--max-memory", "--workers needs 1M"}},
		{MODE_SERVER, "--log-level loud", {"loud", "debug"}},
		{MODE_SERVER, "--log-format xml", {"xml", "json"}},
		{MODE_SERVER, "--ready-fd x", {"--ready-fd"}},
		{MODE_SERVER, "--config /nonexistent", {"/nonexistent"}},
		{MODE_SERVER, "--listen :1", {"--token-file", "--allow-anon"}},
		{MODE_CLIENT, "", {"nothing to do", "--socks"}},
		{MODE_CLIENT, "--socks :1", {"--socks", "--allow-anonymous"}},
		{MODE_CLIENT, "--http *:1", {"--http", "--allow-anonymous"}},
		{MODE_CLIENT, "--socks --server ftp://x", {"--server", "ftp"}},
		{MODE_CLIENT, "--socks --server ws://", {"--server"}},
		{MODE_CLIENT,
		 "--socks --server a --server ws://u:p@h/",
		 {"--server: no user"}},
		{MODE_CLIENT, "--socks --proxy-auth a", {"USER:PASSWORD"}},
		{MODE_CLIENT, "--socks :1", {"--proxy-users", "anonymous"}},
		{MODE_CLIENT,
		 "--socks --proxy-auth a:b --proxy-users f",
		 {"--proxy-auth", "--proxy-users", "one of them"}},
		{MODE_CLIENT, "--socks --header a", {"--header", "Name: v"}},
		{MODE_CLIENT, "--socks --header Host:x", {"--header"}},
		{MODE_CLIENT,
		 "--socks --header Sec-WebSocket-Key:x",
		 {"sends"}},
		{MODE_CLIENT, "--socks --host a/b", {"--host", "a/b"}},
		{MODE_CLIENT, "--socks --sni a:1", {"--sni", "a:1"}},
		{MODE_CLIENT, "--socks --proxy ftp://p:1", {"--proxy"}},
		{MODE_CLIENT,
		 "--socks --server ws://u:p@h/",
		 {"--server: no user", "--token-file"}},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (read_line(&o, t[i].mode, t[i].line) != 2)
			fail_msg("\"%s\" was taken", t[i].line);
		for (int k = 0; k < 3 && t[i].text[k]; k++)
			if (!strstr(said, t[i].text[k]))
				fail_msg("\"%s\": %s", t[i].line, said);
		assert_int_equal(strncmp(said, "wsp: ", 5), 0);
		assert_int_equal(said[strlen(said) - 1], '\n');
		options_done(&o);
	}
}

static void values_may_be_left_out(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(read_line(&o, MODE_SERVER, "--listen"), 0);
	assert_int_equal(o.listen.count, 1);
	assert_string_equal(o.listen.at[0].host, "127.0.0.1");
	assert_int_equal(o.listen.at[0].port, 8010);
	assert_true(o.egress.open);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_CLIENT, "--socks --http 80"), 0);
	assert_int_equal(o.socks.at[0].port, 1080);
	assert_int_equal(o.http.at[0].port, 80);
	assert_string_equal(o.servers.at[0].url.addr.host, "127.0.0.1");
	assert_int_equal(o.servers.at[0].url.addr.port, 8010);
	options_done(&o);
}

static void listeners_are_repeatable(void **state)
{
	struct options o;
	char line[256] = "--socks";

	(void)state;
	assert_int_equal(read_line(&o, MODE_CLIENT,
				   "--socks=[::1]:5 --socks 127.0.0.2:0 "
				   "--socks localhost:7 --socks"),
			 0);
	assert_int_equal(o.socks.count, 4);
	assert_string_equal(o.socks.at[0].host, "::1");
	assert_int_equal(o.socks.at[1].port, 0);
	assert_int_equal(o.socks.at[3].port, 1080);
	options_done(&o);
	for (int i = 0; i < LISTENS_MAX; i++) /* one more than fit */
		strcat(line, " --socks");
	assert_int_equal(read_line(&o, MODE_CLIENT, line), 2);
	assert_non_null(strstr(said, "too many"));
	options_done(&o);
}

/* Of several sources the last one counts; one value may hold a list. */
static void servers_are_repeatable(void **state)
{
	struct options o;
	char line[256] = "--socks";

	(void)state;
	assert_int_equal(read_line(&o, MODE_CLIENT,
				   "--socks --server a --server wss://b/p"),
			 0);
	assert_int_equal(o.servers.count, 2);
	assert_string_equal(o.servers.at[0].url.addr.host, "a");
	assert_true(o.servers.at[1].url.tls);
	options_done(&o);
	write_file("{\"server\": [\"f:1\", \"f:2\", \"f:3\"],"
		   " \"socks\": true}");
	snprintf(line, sizeof(line), "--config %s", file);
	assert_int_equal(read_line(&o, MODE_CLIENT, line), 0);
	assert_int_equal(o.servers.count, 3);
	assert_int_equal(o.servers.at[2].url.addr.port, 3);
	options_done(&o);
	setenv("WSP_SERVER", " e:1  wss://e/ ", 1);
	assert_int_equal(read_line(&o, MODE_CLIENT, line), 0);
	assert_int_equal(o.servers.count, 2);
	assert_int_equal(o.servers.at[1].url.addr.port, 443);
	options_done(&o);
	strcat(line, " --server c:9");
	assert_int_equal(read_line(&o, MODE_CLIENT, line), 0);
	assert_int_equal(o.servers.count, 1);
	assert_int_equal(o.servers.at[0].url.addr.port, 9);
	options_done(&o);
	unsetenv("WSP_SERVER");
	strcpy(line, "--socks");
	for (int i = 0; i <= SERVERS_MAX; i++)
		strcat(line, " --server=a");
	assert_int_equal(read_line(&o, MODE_CLIENT, line), 2);
	assert_non_null(strstr(said, "too many servers"));
	options_done(&o);
}

/* Each server has a proxy of its own. */
static void proxies_are_chosen_for_each_server(void **state)
{
	struct options o;

	(void)state;
	setenv("http_proxy", "plain:1", 1);
	setenv("https_proxy", "secure:2", 1);
	setenv("no_proxy", "near.test", 1);
	assert_int_equal(read_line(&o, MODE_CLIENT,
				   "--socks --server a --server wss://b "
				   "--server c.near.test --server localhost"),
			 0);
	assert_string_equal(o.servers.at[0].proxy.addr.host, "plain");
	assert_string_equal(o.servers.at[1].proxy.addr.host, "secure");
	assert_false(o.servers.at[2].use_proxy);
	assert_false(o.servers.at[3].use_proxy);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_CLIENT,
				   "--socks --server localhost --proxy p:3"),
			 0);
	assert_true(o.servers.at[0].use_proxy);
	assert_int_equal(o.servers.at[0].proxy.addr.port, 3);
	options_done(&o);
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("no_proxy");
}

/* A token opens the door: bare --listen is then all addresses, and the guard
 * of the targets is up. */
static void a_token_changes_the_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(
		read_line(&o, MODE_SERVER, "--listen --token 0123456789abcdef"),
		0);
	assert_string_equal(o.listen.at[0].host, "*");
	assert_false(o.egress.open);
	assert_string_equal(said, "");
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--token short"), 0);
	assert_non_null(strstr(said, "guessed"));
	assert_null(strstr(said, "short\""));
	options_done(&o);
	assert_int_equal(
		read_line(&o, MODE_SERVER, "--listen :1 --allow-anonymous"), 0);
	assert_false(o.egress.open);
	options_done(&o);
}

static void the_token_file_has_one_line(void **state)
{
	struct options o;
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "--token-file %s", file);
	write_file("0123456789 abcdef\r\nsecond\n");
	assert_int_equal(read_line(&o, MODE_SERVER, line), 0);
	assert_string_equal(o.token, "0123456789 abcdef");
	options_done(&o);
	write_file("\nsecond\n");
	assert_int_equal(read_line(&o, MODE_SERVER, line), 2);
	assert_non_null(strstr(said, "empty"));
	options_done(&o);
	write_file("not\tprintable\n");
	assert_int_equal(read_line(&o, MODE_SERVER, line), 2);
	assert_null(strstr(said, "not\tp"));
	options_done(&o);
}

static void secrets_are_wiped_from_the_command_line(void **state)
{
	char word[] = "--token", value[] = "0123456789abcdef";
	char name[] = "server", *argv[] = {name, word, value, NULL};
	struct options o;

	(void)state;
	assert_int_equal(options_read(&o, MODE_SERVER, 3, argv), 0);
	assert_string_equal(o.token, "0123456789abcdef");
	for (size_t i = 0; i < sizeof(value); i++)
		assert_int_equal(value[i], 0);
	options_done(&o);
}

/* File, environment, command line: the later one wins, lists start anew. */
static void sources_have_an_order(void **state)
{
	struct options o;
	char line[128];

	(void)state;
	write_file("{\"grace\": 1.5, \"tcp-keepalive\": 7, \"path\": \"/f\","
		   " \"listen\": [\"127.0.0.1:1\", 2], \"announce\": true,"
		   " \"allow\": \"any\", \"deny\": [\"private\", \"any:25\"],"
		   " \"socks\": true, \"verbose\": false}");
	snprintf(line, sizeof(line), "--config %s", file);
	assert_int_equal(read_line(&o, MODE_SERVER, line), 0);
	assert_int_equal(o.grace_ms, 1500);
	assert_int_equal(o.tcp_keepalive_s, 7);
	assert_int_equal(o.listen.count, 2);
	assert_int_equal(o.listen.at[1].port, 2);
	assert_int_equal(o.egress.count, 3);
	assert_true(o.announce);
	assert_int_equal(o.log_level, LOG_INFO);
	options_done(&o);

	setenv("WSP_CONFIG", file, 1);
	setenv("WSP_GRACE", "2", 1);
	setenv("WSP_LISTEN", "3", 1);
	setenv("WSP_DENY", "any:26", 1);
	setenv("WSP_LOG", "trace", 1);
	assert_int_equal(read_line(&o, MODE_SERVER, "--path /x -v"), 0);
	assert_int_equal(o.grace_ms, 2000);
	assert_int_equal(o.listen.count, 1);
	assert_int_equal(o.listen.at[0].port, 3);
	assert_int_equal(o.egress.count, 4); /* rules of all sources */
	assert_int_equal(o.egress.rules[3].port_min, 26);
	assert_int_equal(o.log_level, LOG_TRACE);
	assert_string_equal(o.path, "/x");
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--listen 4 --grace 3 -q"),
			 0);
	assert_int_equal(o.grace_ms, 3000);
	assert_int_equal(o.listen.count, 1);
	assert_int_equal(o.listen.at[0].port, 4);
	assert_int_equal(o.log_level, LOG_ERROR);
	options_done(&o);
	unsetenv("WSP_CONFIG");
	unsetenv("WSP_GRACE");
	unsetenv("WSP_LISTEN");
	unsetenv("WSP_DENY");
	unsetenv("WSP_LOG");
}

static void bad_variables_are_named(void **state)
{
	struct options o;

	(void)state;
	setenv("WSP_GRACE", "soon", 1);
	assert_int_equal(read_line(&o, MODE_SERVER, ""), 2);
	assert_non_null(strstr(said, "environment WSP_GRACE: \"soon\""));
	options_done(&o);
	setenv("WSP_GRACE", "", 1); /* as if it were not there */
	setenv("WSP_ANNOUNCE", "maybe", 1);
	assert_int_equal(read_line(&o, MODE_SERVER, ""), 2);
	assert_non_null(strstr(said, "WSP_ANNOUNCE"));
	options_done(&o);
	setenv("WSP_ANNOUNCE", "0", 1);
	assert_int_equal(read_line(&o, MODE_SERVER, ""), 0);
	assert_false(o.announce);
	options_done(&o);
	unsetenv("WSP_GRACE");
	unsetenv("WSP_ANNOUNCE");
}

static void bad_files_are_named_with_the_place(void **state)
{
	static const struct {
		const char *json, *text;
	} t[] = {
		{"", ":1:"},
		{"{\"grace\": 1,}", ":1:"},
		{"{\n\"grace\": 1\n\"path\": 2}", ":3:"},
		{"[]", "not a JSON object"},
		{"{\"grce\": 1}", "\"grce\""},
		{"{\"config\": \"x\"}", "\"config\""},
		{"{\"grace\": 1, \"grace\": 2}", "duplicate"},
		{"{\"grace\": {}}", "grace"},
		{"{\"grace\": true}", "grace"},
		{"{\"grace\": null}", "grace"},
		{"{\"grace\": \"x\"}", "\"x\""},
		{"{\"announce\": 1}", "true or false"},
		{"{\"listen\": [[1]]}", "listen"},
		{"{\"grace\": [1]}", "grace"},
	};
	struct options o;
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "--config %s", file);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		write_file(t[i].json);
		if (read_line(&o, MODE_SERVER, line) != 2)
			fail_msg("%s was taken", t[i].json);
		if (!strstr(said, t[i].text) || !strstr(said, file))
			fail_msg("%s: %s", t[i].json, said);
		options_done(&o);
	}
}

static void help_comes_before_all_errors(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(read_line(&o, MODE_CLIENT, "--grace x --help"), 0);
	assert_true(o.help);
	options_done(&o);
}

static void sizes_have_units(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(read_line(&o, MODE_SERVER, ""), 0);
	assert_int_equal(o.strangers, 100);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--max-unauthenticated 7"),
			 0);
	assert_int_equal(o.strangers, 7);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--max-memory 2048K"), 0);
	assert_int_equal(o.max_memory, 2 << 20);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--max-memory 3G"), 0);
	assert_true(o.max_memory == (size_t)3 << 30);
	options_done(&o);
	assert_int_equal(read_line(&o, MODE_SERVER, "--max-memory 1048576"), 0);
	assert_int_equal(o.max_memory, 1 << 20);
	options_done(&o);
}

/* Every row has what the help, the manual and the completions need. */
static void the_table_is_whole(void **state)
{
	struct opt_set set = options_table(0);
	char env[64], other[64];

	(void)state;
	for (size_t i = 0; i < set.count; i++) {
		const struct opt_row *row = &set.rows[i];

		assert_true(row->name && row->help && row->set && row->modes);
		assert_int_equal(row->arg != OPT_NONE, row->value != NULL);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(row->name, set.rows[k].name);
			assert_string_not_equal(
				opt_env_name(row, env),
				opt_env_name(&set.rows[k], other));
			if (row->letter)
				assert_int_not_equal(row->letter,
						     set.rows[k].letter);
		}
	}
}

static int make_file(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_input_says_what_and_where),
		cmocka_unit_test(values_may_be_left_out),
		cmocka_unit_test(listeners_are_repeatable),
		cmocka_unit_test(servers_are_repeatable),
		cmocka_unit_test(proxies_are_chosen_for_each_server),
		cmocka_unit_test(a_token_changes_the_defaults),
		cmocka_unit_test(the_token_file_has_one_line),
		cmocka_unit_test(secrets_are_wiped_from_the_command_line),
		cmocka_unit_test(sources_have_an_order),
		cmocka_unit_test(bad_variables_are_named),
		cmocka_unit_test(bad_files_are_named_with_the_place),
		cmocka_unit_test(help_comes_before_all_errors),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(the_table_is_whole),
	};

	return cmocka_run_group_tests_name("options", tests, make_file,
					   remove_file);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/addr.h"
#include "test/lib/fence.h"

static void hosts_are_addresses_or_names(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} t[] = {
		{"example.com", "example.com"},
		{"EXAMPLE.Com.", "example.com."},
		{"a_b-c.d1", "a_b-c.d1"},
		{"localhost", "localhost"},
		{"127.0.0.1", "127.0.0.1"},
		{"::1", "::1"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"::ffff:127.0.0.1", "::ffff:127.0.0.1"},
		{"1.2.3.4.example", "1.2.3.4.example"},
		{"", NULL},
		{".", NULL},
		{"a..b", NULL},
		{".a", NULL},
		{"127.1", NULL},
		{"0x7f000001", NULL},
		{"0x7f.1", NULL},
		{"2130706433", NULL},
		{"0177.0.0.1", NULL},
		{"1.2.3.4.5", NULL},
		{"1.2.3.4.", NULL},
		{"256.1.1.1", NULL},
		{"fe80::1%eth0", NULL},
		{"[::1]", NULL},
		{"a b", NULL},
		{"a/b", NULL},
		{"a\rb", NULL},
		{"a%20b", NULL},
		{"\xc3\xa4.example", NULL},
	};
	char out[HOST_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);
		char *p = (char *)fence_copy(t[i].in, n);
		bool good = host_parse(p, n, out);

		assert_int_equal(good, t[i].out != NULL);
		if (good)
			assert_string_equal(out, t[i].out);
		fence_free((uint8_t *)p, n);
	}
	assert_false(host_parse("a\0b", 3, out));
}

static void names_have_limits(void **state)
{
	char name[HOST_MAX + 2], out[HOST_MAX + 1];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_false(host_parse(name, 64, out)); /* one label */
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	assert_true(host_parse(name, HOST_MAX, out));
	assert_false(host_parse(name, HOST_MAX + 1, out));
}

static void targets_have_a_host_and_a_port(void **state)
{
	static const struct {
		const char *in, *host;
		int port;
		enum addr_err err;
	} t[] = {
		{"h:1", "h", 1, ADDR_OK},
		{"[::1]:65535", "::1", 65535, ADDR_OK},
		{"1.2.3.4:80", "1.2.3.4", 80, ADDR_OK},
		{"h", NULL, 0, ADDR_EPORT},
		{"h:", NULL, 0, ADDR_EPORT},
		{"h:0", NULL, 0, ADDR_EPORT},
		{"h:65536", NULL, 0, ADDR_EPORT},
		{"h:+1", NULL, 0, ADDR_EPORT},
		{"h: 1", NULL, 0, ADDR_EPORT},
		{"h:123456", NULL, 0, ADDR_EPORT},
		{":1", NULL, 0, ADDR_EHOST},
		{"::1:80", NULL, 0, ADDR_EFORM},
		{"[::1]", NULL, 0, ADDR_EPORT},
		{"[::1]x:1", NULL, 0, ADDR_EFORM},
		{"[::1", NULL, 0, ADDR_EFORM},
		{"[h]:1", NULL, 0, ADDR_EHOST},
		{"[]:1", NULL, 0, ADDR_EHOST},
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);
		uint8_t *p = fence_copy(t[i].in, n);

		assert_int_equal(addr_parse((char *)p, n, &a), t[i].err);
		if (t[i].err == ADDR_OK) {
			assert_string_equal(a.host, t[i].host);
			assert_int_equal(a.port, t[i].port);
		}
		fence_free(p, n);
	}
}

static void listeners_may_leave_the_host_out(void **state)
{
	static const struct {
		const char *in, *host;
		int port;
	} t[] = {
		{"1080", "default", 1080}, {":1080", "*", 1080},
		{"*:0", "*", 0},           {"0.0.0.0:1", "0.0.0.0", 1},
		{"[::]:2", "::", 2},       {"localhost:3", "localhost", 3},
		{"0", "default", 0},       {"unix:/a:1", "unix:/a:1", 0},
		{"unix:@a", "unix:@a", 0}, {"unix:a", "unix:a", 0},
	};
	static const char *const bad[] = {
		"unix:", "unix:@", "unix:a b", "unix:\x7f", "unix:\n", "",
		"x",     "12x",    "65536",    "1.2.3.4",   ":",       "*",
		"::1:1", "[::1]",  "a:b",      "h:99999",   "-1",      "1 ",
		" 1",    "[::]",   "1.2.3:4",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct addr a = {.host = "default", .port = 7};

		assert_int_equal(addr_parse_listen(t[i].in, &a), ADDR_OK);
		assert_string_equal(a.host, t[i].host);
		assert_int_equal(a.port, t[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct addr a = {.host = "default", .port = 7};

		assert_int_not_equal(addr_parse_listen(bad[i], &a), ADDR_OK);
	}
}

static void unix_sockets_have_paths(void **state)
{
	struct addr a = {.host = "127.0.0.1", .port = 7};
	char in[5 + ADDR_UNIX_MAX + 2] = "unix:", text[ADDR_TEXT_MAX];

	(void)state;
	assert_null(addr_unix(&a));
	memset(in + 5, 'x', ADDR_UNIX_MAX);
	assert_int_equal(addr_parse_listen(in, &a), ADDR_OK);
	assert_string_equal(addr_unix(&a), in + 5);
	assert_string_equal(addr_format(&a, text), in);
	assert_true(host_is_loopback(a.host));
	in[5 + ADDR_UNIX_MAX] = 'x';
	assert_int_equal(addr_parse_listen(in, &a), ADDR_EPATH);
}

static void addresses_are_written_as_they_are_read(void **state)
{
	struct addr a = {.host = "::1", .port = 80}, b;
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(addr_format(&a, text), "[::1]:80");
	assert_int_equal(addr_parse(text, strlen(text), &b), ADDR_OK);
	assert_string_equal(b.host, a.host);
	strcpy(a.host, "example.com");
	assert_string_equal(addr_format(&a, text), "example.com:80");
}

static void loopback_is_known_in_every_form(void **state)
{
	(void)state;
	assert_true(host_is_loopback("127.0.0.1"));
	assert_true(host_is_loopback("127.9.9.9"));
	assert_true(host_is_loopback("::1"));
	assert_true(host_is_loopback("localhost"));
	assert_false(host_is_loopback("*"));
	assert_false(host_is_loopback("0.0.0.0"));
	assert_false(host_is_loopback("::"));
	assert_false(host_is_loopback("example.com"));
}

static void servers_are_urls_or_short_for_them(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} t[] = {
		{"ws://h", "ws://h:80/"},
		{"wss://h", "wss://h:443/"},
		{"WSS://H/", "wss://h:443/"},
		{"http://h:8", "ws://h:8/"},
		{"https://h/p?q=1", "wss://h:443/p?q=1"},
		{"https://h?q", "wss://h:443/?q"},
		{"h", "ws://h:80/"},
		{"h:8010", "ws://h:8010/"},
		{"[::1]:8010/x", "ws://[::1]:8010/x"},
		{"ftp://h", NULL},
		{"ws://", NULL},
		{"ws://u@h", NULL},
		{"ws://h:0", NULL},
		{"ws://h:x", NULL},
		{"ws://h/#f", NULL},
		{"ws://h/a b", NULL},
		{"ws://h/\n", NULL},
		{"", NULL},
	};
	char text[PATH_MAX_LEN + ADDR_TEXT_MAX + 8];
	struct server_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		bool good = server_url_parse(t[i].in, &u) == ADDR_OK;

		assert_int_equal(good, t[i].out != NULL);
		if (good)
			assert_string_equal(
				server_url_format(&u, text, sizeof(text)),
				t[i].out);
	}
}

static void targets_come_in_the_schemes_of_gowsp(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} t[] = {
		{"tcp://h:1", "tcp://h:1"},
		{"socks5://H:1", "tcp://h:1"},
		{"http://[::1]:80", "tcp://[::1]:80"},
		{"socks5://u:p@h:1/path?q", "tcp://h:1"},
		{"socks5://a%2Eb:1", "tcp://a.b:1"},
		{"socks5://a%20b:1", NULL},
		{"socks5://a%0d%0ab:1", NULL},
		{"socks5://a%2:1", NULL},
		{"socks5://a%00:1", NULL},
		{"tcp://h", NULL},
		{"udp://h:1", NULL},
		{"unix:///x", NULL},
		{"h:1", NULL},
		{"tcp://:1", NULL},
	};
	char text[ADDR_TEXT_MAX + 6];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);
		uint8_t *p = fence_copy(t[i].in, n);
		bool good = target_parse((char *)p, n, &a) == ADDR_OK;

		assert_int_equal(good, t[i].out != NULL);
		if (good)
			assert_string_equal(target_format(&a, text), t[i].out);
		fence_free(p, n);
	}
}

static void each_error_has_a_text_of_its_own(void **state)
{
	(void)state;
	for (int a = ADDR_EPATH; a <= ADDR_OK; a++)
		for (int b = ADDR_EPATH; b < a; b++)
			assert_string_not_equal(
				addr_strerror((enum addr_err)a),
				addr_strerror((enum addr_err)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_addresses_or_names),
		cmocka_unit_test(names_have_limits),
		cmocka_unit_test(targets_have_a_host_and_a_port),
		cmocka_unit_test(listeners_may_leave_the_host_out),
		cmocka_unit_test(unix_sockets_have_paths),
		cmocka_unit_test(addresses_are_written_as_they_are_read),
		cmocka_unit_test(loopback_is_known_in_every_form),
		cmocka_unit_test(servers_are_urls_or_short_for_them),
		cmocka_unit_test(targets_come_in_the_schemes_of_gowsp),
		cmocka_unit_test(each_error_has_a_text_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

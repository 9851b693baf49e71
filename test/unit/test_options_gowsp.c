/* SPDX-License-Identifier: MIT */
/* gowsp's own files. */
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

static char file[] = "/tmp/wsp-gowsp-XXXXXX";
static char said[4096]; /* on stderr */

/* option may be NULL. */
static int read_file(struct options *o, unsigned int mode, const char *json,
		     const char *option)
{
	char name[] = "wsp", config[] = "--config", word[64] = "";
	char *argv[] = {name, config, file, option ? word : NULL, NULL};
	FILE *f = fopen(file, "w");
	int code;

	assert_non_null(f);
	fputs(json, f);
	fclose(f);
	if (option)
		snprintf(word, sizeof(word), "%s", option);
	capture_begin();
	code = options_read(o, mode, option ? 4 : 3, argv);
	capture_end(said, sizeof(said));
	return code;
}

static unsigned int lines(void)
{
	unsigned int n = 0;

	for (const char *p = said; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

/* As in gowsp's README, with an auth of some length. */
static const char full_client[] =
	"{\"log\": {\"level\": \"Debug\", \"output\": \"/var/log/wspc.log\"},"
	" \"client\": [{\"auth\": \"0123456789abcdef\","
	" \"server\": \"wss://mywsps.com:8010/proxy\","
	" \"dynamic\": [\"socks5://:1080\", \"http://127.0.0.1:80\"],"
	" \"remote\": [\"tcp://ssh:passwod@192.168.1.100:22\","
	" \"http://127.0.0.1:8080?mode=path&value=api\","
	" \"tunnel://work_tunnel:password@\"],"
	" \"local\": [\"tcp://ssh:passwod@127.0.0.1:2200\"]}]}";

static void a_client_is_read_as_it_is(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(read_file(&o, MODE_CLIENT, full_client, NULL), 0);
	assert_string_equal(o.servers.at[0].url.addr.host, "mywsps.com");
	assert_int_equal(o.servers.at[0].url.addr.port, 8010);
	assert_true(o.servers.at[0].url.tls);
	assert_string_equal(o.servers.at[0].url.path, "/proxy");
	assert_string_equal(o.token, "0123456789abcdef");
	assert_int_equal(o.socks.count, 1);
	assert_string_equal(o.socks.at[0].host, "127.0.0.1");
	assert_int_equal(o.socks.at[0].port, 1080);
	assert_int_equal(o.http.at[0].port, 80);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_null(o.next);
	/* one line for each that wsp does not do, and without passwords */
	assert_int_equal(lines(), 6);
	assert_non_null(strstr(said, "log.output\": wsp logs to stderr"));
	assert_non_null(strstr(said, "client 1: \"remote\" 1: "));
	assert_non_null(strstr(said, "client 1: \"remote\" 2: "));
	assert_non_null(strstr(said, "client 1: \"remote\" 3: wsp does not "
				     "offer a tunnel"));
	assert_non_null(strstr(said, "client 1: \"local\" 1: "));
	assert_non_null(strstr(said, "--socks: port 1080 only on 127.0.0.1"));
	assert_null(strstr(said, "pass"));
	options_done(&o);
	assert_int_equal(
		read_file(&o, MODE_CLIENT, full_client, "--allow-anonymous"),
		0);
	assert_string_equal(o.socks.at[0].host, "*");
	assert_int_equal(lines(), 5);
	options_done(&o);
}

static void all_entries_run_that_listen(void **state)
{
	static const char json[] =
		"{\"client\": ["
		"{\"server\": \"ws://a\", \"auth\": \"0123456789abcdef-a\","
		" \"remote\": [\"tunnel://t@\"]},"
		"{\"server\": \"ws://b\", \"auth\": \"0123456789abcdef-b\","
		" \"dynamic\": [\"socks5://127.0.0.1:1\"]},"
		"{\"server\": \"ws://c\", \"auth\": null, \"local\": []},"
		"{\"SERVER\": \"wss://d/p\", \"Dynamic\": "
		"[\"HTTP://127.0.0.1:2/x?y\", \"socks5://localhost:3\"]}]}";
	struct options o;

	(void)state;
	assert_int_equal(read_file(&o, MODE_CLIENT, json, NULL), 0);
	assert_int_equal(lines(), 1);
	assert_string_equal(o.servers.at[0].url.addr.host, "b");
	assert_string_equal(o.token, "0123456789abcdef-b");
	assert_int_equal(o.socks.at[0].port, 1);
	assert_non_null(o.next);
	assert_string_equal(o.next->servers.at[0].url.addr.host, "d");
	assert_null(o.next->token);
	assert_int_equal(o.next->http.at[0].port, 2);
	assert_int_equal(o.next->socks.at[0].port, 3);
	assert_int_equal(o.next->connect_timeout_ms, o.connect_timeout_ms);
	assert_null(o.next->next);
	options_done(&o);
	/* what tells entries apart is the first one's, all else everybody's */
	assert_int_equal(read_file(&o, MODE_CLIENT, json, "--socks=9"), 0);
	assert_int_equal(o.socks.count, 1);
	assert_int_equal(o.socks.at[0].port, 9);
	assert_int_equal(o.next->socks.at[0].port, 3);
	options_done(&o);
	assert_int_equal(read_file(&o, MODE_CLIENT, json, "--insecure"), 0);
	assert_true(o.insecure && o.next->insecure);
	options_done(&o);
}

/* Before gowsp 0.5 there was no list. */
static void a_file_may_be_one_client(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(
		read_file(&o, MODE_CLIENT,
			  "{\"auth\": \"\", \"server\": \"ws://a:1/x\","
			  " \"dynamic\": [\"socks5://127.0.0.1:5\"]}",
			  NULL),
		0);
	assert_string_equal(o.servers.at[0].url.path, "/x");
	assert_null(o.token);
	assert_int_equal(o.socks.at[0].port, 5);
	assert_string_equal(said, "");
	options_done(&o);
}

static void a_server_is_read_as_it_is(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(
		read_file(&o, MODE_SERVER,
			  "{\"log\": {\"level\": \"info\"}, \"ssl\": "
			  "{\"enable\": true, \"key\": \"k\", \"cert\": \"c\"},"
			  " \"host\": \"mywsps.com\", \"path\": \"/ proxy \","
			  " \"auth\": \"0123456789abcdef\", \"PORT\": 8010}",
			  NULL),
		0);
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(said, "\"host\": "));
	assert_int_equal(o.listen.count, 1);
	assert_string_equal(o.listen.at[0].host, "*");
	assert_int_equal(o.listen.at[0].port, 8010);
	assert_string_equal(o.path, "/proxy");
	assert_string_equal(o.token, "0123456789abcdef");
	assert_string_equal(o.tls_key, "k");
	assert_string_equal(o.tls_cert, "c");
	options_done(&o);

	assert_int_equal(read_file(&o, MODE_SERVER,
				   "{\"port\": 8010, \"path\": \"a\", \"ssl\": "
				   "{\"enable\": false, \"key\": \"k\"}}",
				   "--listen=127.0.0.1:7"),
			 0);
	assert_null(o.tls_key);
	assert_string_equal(o.path, "/a");
	assert_int_equal(o.listen.count, 1);
	assert_int_equal(o.listen.at[0].port, 7);
	options_done(&o);
}

/* Its smallest file: all addresses, and nothing asks for a secret. */
static void without_auth_only_this_machine(void **state)
{
	static const char json[] = "{\"port\": 8010}";
	struct options o;

	(void)state;
	assert_int_equal(read_file(&o, MODE_SERVER, json, NULL), 0);
	assert_string_equal(o.listen.at[0].host, "127.0.0.1");
	assert_true(o.egress.open);
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(said, "8010 only on 127.0.0.1"));
	options_done(&o);
	assert_int_equal(read_file(&o, MODE_SERVER, json, "--allow-anonymous"),
			 0);
	assert_string_equal(o.listen.at[0].host, "*");
	options_done(&o);
	/* but what an option says is not bent */
	assert_int_equal(read_file(&o, MODE_SERVER, json, "--listen=:1"), 2);
	options_done(&o);
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
	static const struct {
		unsigned int mode;
		const char *json;
		const char *text;
	} t[] = {
		{MODE_CLIENT, "{\"client\": []}", "nothing to do"},
		{MODE_CLIENT, "{\"client\": {}}", "\"client\": must be a list"},
		{MODE_CLIENT, "{\"client\": [1]}", "must be an object"},
		{MODE_CLIENT, "{\"client\": [{}]}", "client 1: \"server\": m"},
		{MODE_CLIENT,
		 "{\"client\": [{\"server\": \"ws://h\"}, "
		 "{\"server\": \"ftp://h\"}]}",
		 "client 2: \"server\""},
		{MODE_CLIENT, "{\"client\": [{\"server\": 1}]}", "a string"},
		{MODE_CLIENT,
		 "{\"client\": [{\"server\": \"ws://u:secret@h\"}]}",
		 "client 1: \"server\": no user"},
		{MODE_CLIENT, "{\"client\": [{\"dynamic\": \"x\"}]}",
		 "\"dynamic\": must be a list of strings"},
		{MODE_CLIENT, "{\"client\": [{\"dynamic\": [1]}]}",
		 "\"dynamic\" 1: must be a string"},
		{MODE_CLIENT,
		 "{\"client\": [{\"dynamic\": [\"http://:1\", \":2\"]}]}",
		 "\"dynamic\" 2: not socks5://"},
		{MODE_CLIENT, "{\"dynamic\": [\"socks4://:1\"]}", "socks5://"},
		{MODE_CLIENT, "{\"dynamic\": [\"socks5://1080\"]}", "socks5:/"},
		{MODE_CLIENT, "{\"dynamic\": [\"socks5://:x\"]}", "a port"},
		{MODE_CLIENT,
		 "{\"client\": [{\"server\": \"ws://h\", "
		 "\"remote\": [\"tunnel://t:secret@\"]}]}",
		 "nothing to do"},
		{MODE_CLIENT,
		 "{\"server\": \"ws://h\", "
		 "\"dynamic\": [\"socks5://t:secret@127.0.0.1:1\"]}",
		 "\"dynamic\" 1: a proxy whose way out is another client"},
		{MODE_CLIENT, "{\"client\": [], \"socks\": 1}",
		 "\"client\" makes"},
		{MODE_CLIENT, "{\"client\": [], \"socksy\": 1}", "ignored"},
		{MODE_CLIENT, "{\"client\": [], \"log\": 1}",
		 "\"log\": must be an object"},
		{MODE_CLIENT, "{\"socks\": 1, \"log\": \"x\"}",
		 "\"log\": unknown key"},
		{MODE_CLIENT, "{\"log\": {\"level\": 1}}", "\"log.level\""},
		{MODE_CLIENT, "{\"log\": {\"output\": 1}}", "\"log.output\""},
		{MODE_CLIENT, "{\"client\": [],\n \"client\": []}", ":2:"},
		{MODE_CLIENT, "{\"port\": 1}", "wsps.json; wsp server"},
		{MODE_SERVER, "{\"client\": []}", "wspc.json; wsp client"},
		{MODE_SERVER, "{\"port\": \"1\"}", "\"port\": not a port"},
		{MODE_SERVER, "{\"port\": 65536}", "\"port\": not a port"},
		{MODE_SERVER, "{\"port\": 1.0}", "\"port\": not a port"},
		{MODE_SERVER, "{\"auth\": \"0123\"}", "\"port\": missing"},
		{MODE_SERVER, "{\"port\": 1, \"host\": 1}", "\"host\": must"},
		{MODE_SERVER, "{\"port\": 1, \"path\": \"a?\"}", "\"path\":"},
		{MODE_SERVER, "{\"port\": 1, \"ssl\": 1}", "\"ssl\": must"},
		{MODE_SERVER, "{\"port\": 1, \"ssl\": {\"enable\": 1}}",
		 "\"ssl.enable\": must be true"},
		{MODE_SERVER,
		 "{\"port\": 1, \"ssl\": {\"enable\": true, \"key\": \"k\"}}",
		 "\"ssl\": enable is true"},
		{MODE_SERVER, "{\"port\": 1, \"auth\": \"secret\\n\"}",
		 "\"auth\": a token is"},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (read_file(&o, t[i].mode, t[i].json, NULL) != 2)
			fail_msg("%s was taken", t[i].json);
		if (!strstr(said, t[i].text) || strstr(said, "secret"))
			fail_msg("%s: %s", t[i].json, said);
		options_done(&o);
	}
}

/* gowsp's keys tell its files from ours: no option may take their names. */
static void no_option_has_the_name_of_a_key(void **state)
{
	static const char *const keys[] = {"client", "dynamic", "port",
					   "ssl",    "auth",    "log"};
	struct opt_set set = options_table(0);

	(void)state;
	for (size_t i = 0; i < set.count; i++)
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			assert_string_not_equal(set.rows[i].name, keys[k]);
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
		cmocka_unit_test(a_client_is_read_as_it_is),
		cmocka_unit_test(all_entries_run_that_listen),
		cmocka_unit_test(a_file_may_be_one_client),
		cmocka_unit_test(a_server_is_read_as_it_is),
		cmocka_unit_test(without_auth_only_this_machine),
		cmocka_unit_test(what_is_wrong_is_named_with_its_place),
		cmocka_unit_test(no_option_has_the_name_of_a_key),
	};

	return cmocka_run_group_tests_name("options_gowsp", tests, make_file,
					   remove_file);
}

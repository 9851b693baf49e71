/* SPDX-License-Identifier: MIT */
/* wsp help, version and completion: texts on stdout. */
#include "modes/help.h"

#include <stdio.h>
#include <string.h>

#include "core/opttext.h"
#include "core/version.h"

#include "modes/modes.h"
#include "modes/options.h"

#define USAGE    2
#define INTERNAL 1

static const struct opt_command commands_[] = {
	{"server", MODE_SERVER, NULL, "take tunnels and dial their targets",
	 NULL},
	{"client", MODE_CLIENT, NULL,
	 "offer proxies whose targets the server "
	 "dials",
	 NULL},
	{"version", 0, NULL, "print the versions of wsp and its libraries",
	 NULL},
	{"help", 0, "[TOPIC]", "explain a command or a topic",
	 "server client rules exit-codes signals config"},
	{"completion", 0, "SHELL", "print a completion script",
	 "bash zsh fish"},
};

static const struct opt_commands commands = {
	.at = commands_,
	.count = sizeof(commands_) / sizeof(commands_[0]),
};

/* 0, or the exit code if stdout did not take all of it. */
static int written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "wsp: cannot write to stdout\n");
	return INTERNAL;
}

int help_options(unsigned int mode)
{
	struct opt_set set = options_table(mode);
	bool server = mode == MODE_SERVER;

	printf("usage: wsp %s [OPTION]...\n\n", server ? "server" : "client");
	opttext_help(&set);
	printf("\nexamples:\n");
	if (server)
		printf("  wsp server --listen\n"
		       "  wsp server --listen :8443 --tls-cert c.pem --tls-key "
		       "k.pem --token-file t\n");
	else
		printf("  wsp client --socks 1080 --http 8080\n"
		       "  wsp client --server wss://host:8443/ --token-file t "
		       "--socks\n");
	printf("See also: wsp help rules, exit-codes, signals, config\n");
	return written();
}

static void help_overview(FILE *out)
{
	fprintf(out, "usage: wsp COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < commands.count; i++) {
		const struct opt_command *c = &commands.at[i];
		char usage[40];

		snprintf(usage, sizeof(usage), "%s %s", c->name,
			 c->args ? c->args : "");
		fprintf(out, "  %-18s %s\n", usage, c->help);
	}
	fprintf(out, "\n  wsp server --listen\n"
		     "  wsp client --socks 1080 --http 8080\n"
		     "  curl -x socks5h://127.0.0.1:1080 http://example.com/\n"
		     "\n'wsp COMMAND --help' lists the options.\n");
}

static const struct topic {
	const char *name, *text;
} topics[] = {
	{"rules",
	 "Rules say which targets a server dials: --allow RULE, --deny RULE.\n"
	 "The last one that matches wins.\n\n"
	 "  RULE      CIDR | NAME | *.NAME | loopback | private | any, then "
	 "[:PORT[-PORT]]\n"
	 "  CIDR      10.0.0.0/8, 192.0.2.1, [2001:db8::/32]:443\n"
	 "  loopback  loopback, link-local, metadata, unspecified and "
	 "multicast addresses\n"
	 "  private   RFC 1918, shared (100.64.0.0/10) and unique local "
	 "addresses\n\n"
	 "Those of the configuration file come first, then WSP_DENY, "
	 "WSP_ALLOW, and the\ncommand line's in their order.\n\n"
	 "Before any rule everything may be dialled but \"loopback\", unless "
	 "the server\nhas no token and listens on loopback only. Rules look "
	 "at the address that a\nname has resolved to, and at the name. Only "
	 "\"loopback\" and a CIDR can allow\nwhat is denied by default.\n"},
	{"exit-codes",
	 "  0      stopped as asked (TERM, INT)\n"
	 "  1      internal error\n"
	 "  2      wrong usage or configuration\n"
	 "  3      cannot listen\n"
	 "  4      the server could not be reached within --wait\n"
	 "  5      the server's certificate was refused\n"
	 "  6      the server refused the token\n"
	 "  7      the server is no wsp\n"
	 "  128+N  ended at once by a second signal N\n"},
	{"signals",
	 "  TERM, INT  take nothing new, let connections end within --grace, "
	 "stop;\n"
	 "             a second one ends at once\n"
	 "  HUP        client: connect to the server now\n"},
	{"config",
	 "--config FILE reads a JSON object. Its keys are the options without "
	 "the\ndashes; an option that is repeatable takes a list:\n\n"
	 "  {\n"
	 "    \"server\": \"wss://host:8443/\",\n"
	 "    \"socks\": [\"1080\", \"127.0.0.1:1081\"],\n"
	 "    \"http\": true,\n"
	 "    \"token-file\": \"/etc/wsp/token\"\n"
	 "  }\n\n"
	 "Order: default, file, environment (WSP_NAME), command line. A list "
	 "that a later\nsource gives replaces that of an earlier one, but for "
	 "rules: all of them count.\n"},
};

#define TOPICS (sizeof(topics) / sizeof(topics[0]))

static void help_man(void)
{
	struct opt_set set = options_table(0);

	printf(".TH WSP 1 \"\" \"wsp %s\" \"User Commands\"\n"
	       ".SH NAME\nwsp \\- forward proxy over WebSocket\n"
	       ".SH SYNOPSIS\n",
	       WSP_VERSION);
	for (size_t i = 0; i < commands.count; i++)
		printf(".B wsp %s\n%s\n.br\n", commands.at[i].name,
		       commands.at[i].mode   ? "[OPTION]..."
		       : commands.at[i].args ? commands.at[i].args
					     : "");
	printf(".SH DESCRIPTION\n"
	       "A client offers SOCKS5 and HTTP proxies on its machine; what "
	       "applications send\ngoes through one WebSocket to the server, "
	       "which dials the targets.\n");
	opttext_man(&set, &commands);
	for (size_t i = 0; i < TOPICS; i++)
		printf(".SH %s\n.nf\n%s.fi\n", topics[i].name, topics[i].text);
}

static void help_markdown(void)
{
	struct opt_set set = options_table(0);

	printf("# Options of wsp\n\nGenerated by `make docs` from the table in "
	       "modes/options.c.\n");
	opttext_markdown(&set, &commands);
	for (size_t i = 0; i < TOPICS; i++)
		printf("\n## %s\n\n```\n%s```\n", topics[i].name,
		       topics[i].text);
}

static int unknown_topic(const char *name)
{
	fprintf(stderr, "wsp: help %s: unknown; topics are %s\n", name,
		"server, client, rules, exit-codes, signals, config");
	return USAGE;
}

static int help_topic(const char *name)
{
	if (strcmp(name, "server") == 0)
		return help_options(MODE_SERVER);
	if (strcmp(name, "client") == 0)
		return help_options(MODE_CLIENT);
	if (strcmp(name, "man") == 0) {
		help_man();
		return written();
	}
	if (strcmp(name, "markdown") == 0) {
		help_markdown();
		return written();
	}
	for (size_t i = 0; i < TOPICS; i++) {
		if (strcmp(name, topics[i].name) == 0) {
			fputs(topics[i].text, stdout);
			return written();
		}
	}
	for (size_t i = 0; i < commands.count; i++)
		if (strcmp(name, commands.at[i].name) == 0)
			return mode_help(1, NULL);
	return unknown_topic(name);
}

int mode_help(int argc, char **argv)
{
	if (argc > 1)
		return help_topic(argv[1]);
	help_overview(stdout);
	return written();
}

int mode_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	version_print(stdout);
	return written();
}

int mode_completion(int argc, char **argv)
{
	struct opt_set set = options_table(0);

	if (argc == 2 && opttext_completion(&set, &commands, argv[1]))
		return written();
	fprintf(stderr, "wsp: completion: say for which shell: bash, zsh or "
			"fish\n");
	return USAGE;
}

int help_unknown(const char *word)
{
	const char *names[sizeof(commands_) / sizeof(commands_[0])], *guess;

	for (size_t i = 0; i < commands.count; i++)
		names[i] = commands.at[i].name;
	guess = opt_guess(word, names, commands.count);
	if (guess)
		fprintf(stderr, "wsp: %s: unknown; did you mean %s?\n", word,
			guess);
	else
		fprintf(stderr, "wsp: %s: unknown; see wsp help\n", word);
	return USAGE;
}

int help_usage(void)
{
	help_overview(stderr);
	return USAGE;
}

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
	{"token", MODE_TOKEN, "[NAME]",
	 "make a token, and its line for --tokens", NULL},
	{"version", 0, NULL, "print the versions of wsp and its libraries",
	 NULL},
	{"help", 0, "[TOPIC]", "explain a command or a topic",
	 "server client token rules tokens exit-codes signals config"},
	{"completion", 0, "SHELL", "print a completion script",
	 "bash zsh fish"},
};

static const struct opt_commands commands = {
	.at = commands_,
	.count = sizeof(commands_) / sizeof(commands_[0]),
};

int help_written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "wsp: cannot write to stdout\n");
	return INTERNAL;
}

static const char server_examples[] =
	"  wsp server --listen\n"
	"  wsp server --listen :8443 --tls-cert c.pem --tls-key k.pem "
	"--token-file t\n";
static const char client_examples[] =
	"  wsp client --socks 1080 --http 8080\n"
	"  wsp client --server wss://host:8443/ --token-file t --socks\n";
static const char token_examples[] =
	"  wsp token >t                          one for --token-file\n"
	"  wsp token alice --file tokens >t      one for --tokens, with a "
	"name\n"
	"  wsp token bob --file tokens rate=2M/s deny=private\n"
	"  wsp token carol --token-file t        the line for one that "
	"exists\n";

int help_options(unsigned int mode)
{
	struct opt_set set = options_table(mode);

	printf("usage: wsp %s\n\n",
	       mode == MODE_SERVER   ? "server [OPTION]..."
	       : mode == MODE_CLIENT ? "client [OPTION]..."
				     : "token [NAME [SETTING]...] [OPTION]...");
	opttext_help(&set);
	printf("\nexamples:\n%s", mode == MODE_SERVER   ? server_examples
				  : mode == MODE_CLIENT ? client_examples
							: token_examples);
	printf("See also: wsp help rules, tokens, exit-codes, signals, "
	       "config\n");
	return help_written();
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
	{"tokens",
	 "Each line of the file of --tokens lets in who has one token:\n\n"
	 "  alice sha256:HEX\n"
	 "  bob   sha256:HEX deny=any allow=*.example.com:443 streams=64 "
	 "rate=2M/s\n"
	 "  # a comment\n\n"
	 "  HEX         the SHA-256 of the token: tokens are long and random, "
	 "so that no\n"
	 "              slow hash is needed\n"
	 "  allow=RULE  rules of this token (see wsp help rules), in order; "
	 "the last one\n"
	 "  deny=RULE   that matches wins, before them all is allowed. What is "
	 "dialled\n"
	 "              must be allowed by the server's rules and by these\n"
	 "  streams=N   so many connections to targets at once\n"
	 "  tunnels=N   so many connections of clients at once\n"
	 "  rate=BYTES  a second, for all streams together, up and down each; "
	 "10K, 2M, 1G\n\n"
	 "wsp token alice --file FILE makes a token and its line; HUP makes "
	 "the "
	 "server read\nthe file again.\n\n"
	 "Limits hold for a name, over all its tunnels and --workers. What is "
	 "over a rate\nwaits, nothing is lost.\n"},
	{"exit-codes",
	 "  0      stopped as asked (TERM, INT)\n"
	 "  1      internal error\n"
	 "  2      wrong usage or configuration\n"
	 "  3      cannot listen\n"
	 "  4      the server could not be reached within --wait, or not at "
	 "all through\n"
	 "         the proxy: it refuses, or has no way to sign in that is "
	 "known "
	 "here\n"
	 "  5      the certificate of the server, or of the proxy, was "
	 "refused\n"
	 "  6      the server refused the token or our certificate, or the "
	 "proxy "
	 "our\n"
	 "         password\n"
	 "  7      the server is no wsp, or hides that it is one: a wrong path "
	 "or token\n"
	 "  128+N  ended at once by a second signal N\n"},
	{"signals",
	 "  TERM, INT  take nothing new, let connections end within --grace, "
	 "stop;\n"
	 "             a second one ends at once\n"
	 "  HUP        server: read again certificates and key, "
	 "--tls-client-ca, --token-file,\n"
	 "             --tokens, and the rules and the token in the --config "
	 "file. Tunnels\n"
	 "             stay, but those whose token is no longer there. A file "
	 "that cannot be\n"
	 "             read or is bad leaves in force what it said before, "
	 "with a warning\n"
	 "             client: connect to the server now; read again "
	 "--token-file, --tls-ca,\n"
	 "             --tls-cert and --tls-key, for new connections; and "
	 "--proxy-users, for\n"
	 "             new requests\n"},
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
		printf(".B wsp %s\n%s%s%s\n.br\n", commands.at[i].name,
		       commands.at[i].args ? commands.at[i].args : "",
		       commands.at[i].args && commands.at[i].mode ? " " : "",
		       commands.at[i].mode ? "[OPTION]..." : "");
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
		"server, client, token, rules, tokens, exit-codes, signals, "
		"config");
	return USAGE;
}

static int help_topic(const char *name)
{
	if (strcmp(name, "server") == 0)
		return help_options(MODE_SERVER);
	if (strcmp(name, "client") == 0)
		return help_options(MODE_CLIENT);
	if (strcmp(name, "token") == 0)
		return help_options(MODE_TOKEN);
	if (strcmp(name, "man") == 0) {
		help_man();
		return help_written();
	}
	if (strcmp(name, "markdown") == 0) {
		help_markdown();
		return help_written();
	}
	for (size_t i = 0; i < TOPICS; i++) {
		if (strcmp(name, topics[i].name) == 0) {
			fputs(topics[i].text, stdout);
			return help_written();
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
	return help_written();
}

int mode_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	version_print(stdout);
	return help_written();
}

int mode_completion(int argc, char **argv)
{
	struct opt_set set = options_table(0);

	if (argc == 2 && opttext_completion(&set, &commands, argv[1]))
		return help_written();
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

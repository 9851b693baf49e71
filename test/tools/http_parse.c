/* SPDX-License-Identifier: MIT */
/*
 * http_parse
 *
 * What llhttp makes of each request on stdin, so that tests can compare it with
 * what other parsers do. The input is "LENGTH\n" and as many bytes, again and
 * again; the output is for each a line of "ok METHOD TARGET BODY [NAME VALUE]
 * ...", all in hex but the first ("-": empty), or "error NAME".
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#define INPUT_MAX (1024 * 1024)

struct text {
	char *p;
	size_t n;
};

struct request {
	struct text uri, body, fields, part; /* part: a name or a value */
	bool complete;
};

static void add(struct text *t, const char *p, size_t n)
{
	char *grown = realloc(t->p, t->n + n + 1);

	if (!grown)
		abort();
	memcpy(grown + t->n, p, n);
	t->p = grown;
	t->n += n;
}

static void clear(struct text *t)
{
	free(t->p);
	*t = (struct text){NULL, 0};
}

static void add_hex(struct text *t, const struct text *from)
{
	char hex[4];

	add(t, from->n ? " " : " -", from->n ? 1 : 2);
	for (size_t i = 0; i < from->n; i++) {
		snprintf(hex, sizeof(hex), "%02x", (unsigned char)from->p[i]);
		add(t, hex, 2);
	}
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	add(&((struct request *)p->data)->uri, at, n);
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	add(&((struct request *)p->data)->body, at, n);
	return 0;
}

static int on_part(llhttp_t *p, const char *at, size_t n)
{
	add(&((struct request *)p->data)->part, at, n);
	return 0;
}

static int on_part_end(llhttp_t *p)
{
	struct request *r = p->data;

	add_hex(&r->fields, &r->part);
	clear(&r->part);
	return 0;
}

static int on_complete(llhttp_t *p)
{
	((struct request *)p->data)->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_part,
	.on_header_field_complete = on_part_end,
	.on_header_value = on_part,
	.on_header_value_complete = on_part_end,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static void print(struct request *r, const char *method)
{
	struct text out = {NULL, 0}, name = {NULL, 0};

	add(&name, method, strlen(method));
	add_hex(&out, &name);
	add_hex(&out, &r->uri);
	add_hex(&out, &r->body);
	add(&out, r->fields.n ? r->fields.p : "", r->fields.n);
	printf("ok%.*s\n", (int)out.n, out.p);
	clear(&out);
	clear(&name);
}

static void parse(const char *p, size_t n)
{
	struct request r = {.complete = false};
	enum llhttp_errno err;
	llhttp_t parser;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &r;
	err = llhttp_execute(&parser, p, n);
	if (!r.complete)
		printf("error %s\n", llhttp_errno_name(err));
	else if (err == HPE_PAUSED && llhttp_get_error_pos(&parser) != p + n)
		printf("error more than one request\n");
	else
		print(&r, llhttp_method_name(parser.method));
	clear(&r.uri);
	clear(&r.body);
	clear(&r.fields);
	clear(&r.part);
}

int main(void)
{
	char *input = malloc(INPUT_MAX), line[32];
	size_t n;

	if (!input)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		n = strtoul(line, NULL, 10);
		if (n > INPUT_MAX || fread(input, 1, n, stdin) != n)
			return 1;
		parse(input, n);
	}
	free(input);
	return 0;
}

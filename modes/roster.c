/* SPDX-License-Identifier: MIT */
#include "modes/roster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line: its rules, as they come. */
struct reading {
	struct egress_rule rules[EGRESS_RULES_MAX];
	size_t nrules;
	unsigned int names;
};

/* Members. */

static void member_done(struct member *m)
{
	usage_free(m->usage);
	free(m->rules);
}

/* A place for one more, zeroed. NULL: no memory. */
static struct member *member_new(struct roster *r)
{
	size_t room = r->room ? 2 * r->room : 4;
	struct member *more;

	if (r->count == r->room) {
		more = realloc(r->members, room * sizeof(*more));
		if (!more)
			return NULL;
		r->members = more;
		r->room = room;
	}
	memset(&r->members[r->count], 0, sizeof(*more));
	return &r->members[r->count++];
}

static bool member_rules(struct member *m, const struct egress_rule *rules,
			 size_t n)
{
	if (n == 0)
		return true;
	m->rules = malloc(n * sizeof(*rules));
	if (!m->rules)
		return false;
	memcpy(m->rules, rules, n * sizeof(*rules));
	m->nrules = n;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->said.name, y->said.name);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int by_digest(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = memcmp(x->said.digest, y->said.digest, TOKEN_DIGEST);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* r is sorted. */
static const struct member *find_name(const struct roster *r, const char *name)
{
	size_t from = 0, to = r->count;

	while (from < to) {
		size_t at = from + (to - from) / 2;
		int order = strcmp(name, r->members[at].said.name);

		if (order == 0)
			return &r->members[at];
		if (order < 0)
			to = at;
		else
			from = at + 1;
	}
	return NULL;
}

/* Making one. */

struct roster *roster_new(const struct egress *egress)
{
	struct roster *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->egress = *egress;
	return r;
}

bool roster_add_token(struct roster *r, const char *token)
{
	struct member *m = member_new(r);

	return m && token_digest(token, m->said.digest);
}

/* The file. */

static const char *on_rule(void *ctx, bool allow, const char *text)
{
	struct reading *of = ctx;
	const char *error;

	if (of->nrules == EGRESS_RULES_MAX)
		return "too many rules, 256 are possible";
	error = egress_rule_read(&of->rules[of->nrules], allow, text);
	of->nrules += !error;
	return error;
}

/* NULL, or what is wrong with the line. */
static const char *add_line(struct roster *r, struct reading *of, const char *p,
			    size_t n, unsigned int line)
{
	struct tokenline said;
	struct member *m;
	const char *error;

	of->nrules = 0;
	error = tokenline_parse(p, n, on_rule, of, &said);
	if (error || !said.name[0])
		return error;
	if (of->names++ == ROSTER_MAX)
		return "more than 10000 tokens";
	m = member_new(r);
	if (!m || !member_rules(m, of->rules, of->nrules))
		return "out of memory";
	m->said = said;
	m->line = line;
	return NULL;
}

static bool read_lines(struct roster *r, struct reading *of, FILE *f,
		       const char *path, char *error, size_t size)
{
	const char *wrong = NULL;
	char *text = NULL;
	size_t room = 0;
	unsigned int line = 0;
	ssize_t n;

	errno = 0;
	while (!wrong && (n = getline(&text, &room, f)) >= 0)
		wrong = add_line(r, of, text, (size_t)n, ++line);
	if (wrong)
		snprintf(error, size, "%s:%u: %s", path, line, wrong);
	else if (!feof(f))
		snprintf(error, size, "%s: %s", path, strerror(errno));
	if (text)
		explicit_bzero(text, room); /* a token in clear, perhaps */
	free(text);
	return !wrong && feof(f);
}

/* Sorts by name in the end. False: two lines are for the same. */
static bool are_different(struct roster *r, const char *path, char *error,
			  size_t size)
{
	const struct member *a, *b;

	qsort(r->members, r->count, sizeof(*r->members), by_digest);
	for (size_t i = 1; i < r->count; i++) {
		a = &r->members[i - 1];
		b = &r->members[i];
		if (!token_same(a->said.digest, b->said.digest))
			continue;
		if (a->line)
			snprintf(error, size,
				 "%s:%u: this token is in line %u already",
				 path, b->line, a->line);
		else
			snprintf(error, size,
				 "%s:%u: this token is that of --token", path,
				 b->line);
		return false;
	}
	qsort(r->members, r->count, sizeof(*r->members), by_name);
	for (size_t i = 1; i < r->count; i++) {
		a = &r->members[i - 1];
		b = &r->members[i];
		if (strcmp(a->said.name, b->said.name) != 0)
			continue;
		snprintf(error, size,
			 "%s:%u: this name is in line %u already: take another "
			 "one, each has one token",
			 path, b->line, a->line);
		return false;
	}
	return true;
}

bool roster_add_file(struct roster *r, const char *path, char *error,
		     size_t size)
{
	struct reading *of = calloc(1, sizeof(*of));
	FILE *f = fopen(path, "re");
	bool good = false;

	if (!of)
		snprintf(error, size, "%s: out of memory", path);
	else if (!f)
		snprintf(error, size, "%s: %s", path, strerror(errno));
	else
		good = read_lines(r, of, f, path, error, size) &&
		       (r->count < 2 || are_different(r, path, error, size));
	if (f)
		fclose(f);
	free(of);
	return good;
}

/* From one to the next. */

bool roster_copy(struct roster *r, const struct roster *old, bool named)
{
	for (size_t i = 0; i < old->count; i++) {
		const struct member *from = &old->members[i];
		struct member *m;

		if ((from->said.name[0] != 0) != named)
			continue;
		m = member_new(r);
		if (!m || !member_rules(m, from->rules, from->nrules))
			return false;
		m->said = from->said;
		m->line = from->line;
	}
	return true;
}

bool roster_finish(struct roster *r, const struct roster *old)
{
	const struct member *before;

	if (r->count > 1)
		qsort(r->members, r->count, sizeof(*r->members), by_name);
	for (size_t i = 0; i < r->count; i++) {
		struct member *m = &r->members[i];

		if (!m->said.name[0])
			continue;
		before = old ? find_name(old, m->said.name) : NULL;
		m->usage = before ? usage_ref(before->usage) : usage_new();
		if (!m->usage)
			return false;
	}
	return true;
}

void roster_enforce(struct roster *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct tokenline *said = &r->members[i].said;

		if (r->members[i].usage)
			usage_limit(r->members[i].usage, said->streams,
				    said->tunnels, said->rate);
	}
}

struct roster *roster_ref(struct roster *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void roster_free(struct roster *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	for (size_t i = 0; i < r->count; i++)
		member_done(&r->members[i]);
	free(r->members);
	free(r);
}

/* Asking it. */

size_t roster_names(const struct roster *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->members[i].said.name[0] != 0;
	return n;
}

/* All are compared, and which it was is chosen without a branch. */
const struct member *roster_find(const struct roster *r, const char *token)
{
	uint8_t digest[TOKEN_DIGEST];
	size_t found = r->count;

	if (!token_digest(token, digest))
		return NULL;
	for (size_t i = 0; i < r->count; i++)
		found ^= (found ^ i) &
			 -(size_t)token_same(digest, r->members[i].said.digest);
	return found < r->count ? &r->members[found] : NULL;
}

struct pass pass_copy(const struct pass *p)
{
	return (struct pass){roster_ref(p->roster), p->member};
}

void pass_drop(struct pass *p)
{
	roster_free(p->roster);
	*p = (struct pass){NULL, NULL};
}

bool pass_allows(const struct pass *p, const char *host,
		 const struct sockaddr *sa)
{
	const struct member *m = p->member;

	return egress_allows(&p->roster->egress, host, sa) &&
	       egress_also_allows(m->rules, m->nrules, host, sa);
}

bool pass_renew(struct pass *p, struct roster *r)
{
	const struct member *m = find_name(r, p->member->said.name);

	if (!m || !token_same(m->said.digest, p->member->said.digest))
		return false;
	roster_free(p->roster);
	p->roster = roster_ref(r);
	p->member = m;
	return true;
}

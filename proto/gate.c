/* SPDX-License-Identifier: MIT */
#include "proto/gate.h"

#include <stdlib.h>

struct gate {
	struct gate_rule rule;
	struct upgrade *upgrade;
	enum gate_state state;
	const char *why;
	size_t bytes;   /* that have come */
	size_t line;    /* where the line began that is coming */
	size_t matched; /* bytes of it that are those of auth[] */
	bool other;     /* it is another field */
	bool held;      /* the field has come: nothing from line on is safe */
};

static const char auth[] = "auth:";

struct gate *gate_new(const struct gate_rule *rule)
{
	struct gate *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->rule = *rule;
	g->why = "";
	g->upgrade = upgrade_new_server();
	if (g->upgrade)
		return g;
	free(g);
	return NULL;
}

void gate_free(struct gate *g)
{
	if (g)
		upgrade_free(g->upgrade);
	free(g);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Look for the field. A CR alone ends a line, too: some parsers think so. */
static void scan(struct gate *g, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n && !g->held; i++) {
		if (p[i] == '\r' || p[i] == '\n') {
			g->line = g->bytes + i + 1;
			g->matched = 0;
			g->other = false;
		} else if (!g->other && lower(p[i]) == auth[g->matched]) {
			g->matched++;
			g->held = !auth[g->matched];
		} else {
			g->other = true;
		}
	}
	g->bytes += n;
}

static enum gate_state theirs(struct gate *g, const char *why)
{
	g->why = why;
	return GATE_THEIRS;
}

/* The head goes on: can it still be good? */
static enum gate_state judge_part(struct gate *g)
{
	const struct upgrade_request *req = upgrade_request(g->upgrade);

	if (req->has_token && !g->rule.knows(g->rule.ctx, req->token))
		return theirs(g, reason_text(REASON_UNAUTHORIZED));
	if (!req->has_token && g->held && g->bytes - g->line > GATE_HOLD_MAX)
		return theirs(g, "the Auth field does not end");
	return GATE_MORE;
}

static enum gate_state judge_all(struct gate *g)
{
	enum reason why =
		g->rule.check(g->rule.ctx, upgrade_request(g->upgrade));

	return why == REASON_DONE ? GATE_OURS : theirs(g, reason_text(why));
}

enum gate_state gate_feed(struct gate *g, const uint8_t *p, size_t n)
{
	size_t used;

	if (g->state != GATE_MORE)
		return g->state;
	scan(g, p, n);
	switch (upgrade_feed(g->upgrade, p, n, &used)) {
	case UPGRADE_MORE:
		g->state = judge_part(g);
		break;
	case UPGRADE_DONE:
		g->state = judge_all(g);
		break;
	case UPGRADE_FAILED:
		g->state = theirs(g, upgrade_detail(g->upgrade));
		break;
	}
	return g->state;
}

size_t gate_safe(const struct gate *g)
{
	if (g->state == GATE_THEIRS || g->other)
		return g->bytes;
	return g->held || g->matched ? g->line : g->bytes;
}

const char *gate_why(const struct gate *g)
{
	return g->why;
}

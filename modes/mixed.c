/* SPDX-License-Identifier: MIT */
/* The mixed inbound: SOCKS4, SOCKS5 or HTTP, as the first byte tells. */
#include <stdlib.h>

#include "proto/socks4.h"
#include "proto/socks5.h"

#include "modes/session.h"

struct mixed {
	const struct inbound *inbound; /* NULL: not known yet */
	void *in;
	bool auth;
};

static void *mixed_new(bool auth)
{
	struct mixed *m = calloc(1, sizeof(*m));

	if (m)
		m->auth = auth;
	return m;
}

static void mixed_free(void *in)
{
	struct mixed *m = in;

	if (m->inbound)
		m->inbound->free(m->in);
	free(m);
}

/* False: no memory. */
static bool choose(struct mixed *m, uint8_t first)
{
	const struct inbound *inbound =
		first == SOCKS4_VERSION || first == SOCKS5_VERSION
			? &inbound_socks
			: &inbound_http;

	m->in = inbound->new_(m->auth);
	if (m->in)
		m->inbound = inbound;
	return m->in != NULL;
}

static enum inbound_state mixed_feed(void *in, const uint8_t *p, size_t n,
				     size_t *used, struct reply *reply)
{
	struct mixed *m = in;

	*used = 0;
	if (n == 0)
		return INBOUND_MORE;
	if (!m->inbound && !choose(m, p[0]))
		return INBOUND_FAILED;
	return m->inbound->feed(m->in, p, n, used, reply);
}

static void mixed_credentials(const void *in, const char **user,
			      const char **password)
{
	const struct mixed *m = in;

	m->inbound->credentials(m->in, user, password);
}

static enum inbound_state mixed_admit(void *in, struct reply *reply)
{
	struct mixed *m = in;

	return m->inbound->admit(m->in, reply);
}

static enum reason mixed_why(const void *in)
{
	const struct mixed *m = in;

	return m->inbound ? m->inbound->why(m->in) : REASON_NO_MEMORY;
}

static const struct addr *mixed_target(const void *in)
{
	const struct mixed *m = in;

	return m->inbound->target(m->in);
}

static struct http1 *mixed_request(void *in)
{
	struct mixed *m = in;

	return m->inbound->request(m->in);
}

static void mixed_accept(void *in, const char *bound, struct reply *reply)
{
	struct mixed *m = in;

	m->inbound->accept(m->in, bound, reply);
}

static void mixed_refuse(void *in, enum reason why, struct reply *reply)
{
	struct mixed *m = in;

	if (m->inbound)
		m->inbound->refuse(m->in, why, reply);
}

const struct inbound inbound_mixed = {
	.name = "mixed",
	.new_ = mixed_new,
	.free = mixed_free,
	.feed = mixed_feed,
	.credentials = mixed_credentials,
	.admit = mixed_admit,
	.why = mixed_why,
	.target = mixed_target,
	.request = mixed_request,
	.accept = mixed_accept,
	.refuse = mixed_refuse,
};

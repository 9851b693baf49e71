/* SPDX-License-Identifier: MIT */
/* The SOCKS5 inbound: proto/socks5 as a session needs it. */
#include <stdlib.h>

#include "proto/socks5.h"

#include "modes/session.h"

static_assert(REPLY_MAX >= SOCKS5_REPLY_MAX, "a SOCKS5 reply fits");

static void *socks_new(void)
{
	struct socks5 *s = malloc(sizeof(*s));

	if (s)
		socks5_init(s);
	return s;
}

static enum inbound_state socks_feed(void *in, const uint8_t *p, size_t n,
				     size_t *used, struct reply *reply)
{
	const uint8_t *at = p;
	enum inbound_state state = INBOUND_MORE;
	bool again = true;

	while (again) {
		again = false;
		switch (socks5_feed(in, &at, &n)) {
		case SOCKS5_MORE:
			break;
		case SOCKS5_GREETED:
			reply->len = socks5_method(reply->bytes);
			again = true;
			break;
		case SOCKS5_DONE:
			state = INBOUND_DONE;
			break;
		case SOCKS5_FAILED:
			state = INBOUND_FAILED;
			break;
		}
	}
	*used = (size_t)(at - p);
	return state;
}

static enum reason socks_why(const void *in)
{
	return ((const struct socks5 *)in)->why;
}

static const struct addr *socks_target(const void *in)
{
	return &((const struct socks5 *)in)->target;
}

static void socks_accept(void *in, const char *bound, struct reply *reply)
{
	(void)in;
	reply->len = socks5_reply(reply->bytes, REASON_DONE, bound);
}

/* A request that could not be read has an answer of its own. */
static void socks_refuse(void *in, enum reason why, struct reply *reply)
{
	const struct socks5 *s = in;

	reply->len = s->why == REASON_DONE
			     ? socks5_reply(reply->bytes, why, NULL)
			     : socks5_refusal(s, reply->bytes);
}

const struct inbound inbound_socks = {
	.name = "socks",
	.new_ = socks_new,
	.free = free,
	.feed = socks_feed,
	.why = socks_why,
	.target = socks_target,
	.accept = socks_accept,
	.refuse = socks_refuse,
};

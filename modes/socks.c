/* SPDX-License-Identifier: MIT */
/* The SOCKS inbound: proto/socks5 and proto/socks4 as a session needs them; the
 * first byte tells which it is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/socks4.h"
#include "proto/socks5.h"

#include "modes/session.h"

static_assert(REPLY_MAX >= SOCKS5_REPLY_MAX, "a SOCKS reply fits");

struct socks {
	uint8_t version; /* 0: not known yet */
	bool auth;
	union {
		struct socks4 v4;
		struct socks5 v5;
	};
};

static bool is_4(const struct socks *s)
{
	return s->version == SOCKS4_VERSION;
}

static void *socks_new(bool auth)
{
	struct socks *s = calloc(1, sizeof(*s));

	if (s)
		s->auth = auth;
	return s;
}

static void socks_free(void *in)
{
	explicit_bzero(in, sizeof(struct socks)); /* a password, perhaps */
	free(in);
}

static enum inbound_state feed_4(struct socks *s, const uint8_t **p, size_t *n)
{
	switch (socks4_feed(&s->v4, p, n)) {
	case SOCKS4_MORE:
		break;
	case SOCKS4_DONE:
		if (!s->auth)
			return INBOUND_DONE;
		s->v4.why = REASON_PROXY_AUTH; /* it has no passwords */
		return INBOUND_FAILED;
	case SOCKS4_FAILED:
		return INBOUND_FAILED;
	}
	return INBOUND_MORE;
}

static enum inbound_state feed_5(struct socks *s, const uint8_t **p, size_t *n,
				 struct reply *reply)
{
	for (;;) {
		switch (socks5_feed(&s->v5, p, n)) {
		case SOCKS5_MORE:
			return INBOUND_MORE;
		case SOCKS5_GREETED:
			reply->len = socks5_method(&s->v5, reply->bytes);
			break;
		case SOCKS5_USER:
			return INBOUND_AUTH;
		case SOCKS5_DONE:
			return INBOUND_DONE;
		case SOCKS5_FAILED:
			return INBOUND_FAILED;
		}
	}
}

static enum inbound_state socks_feed(void *in, const uint8_t *p, size_t n,
				     size_t *used, struct reply *reply)
{
	struct socks *s = in;
	const uint8_t *at = p;
	enum inbound_state state;

	if (!s->version && n) {
		s->version = p[0] ? p[0] : UINT8_MAX;
		if (is_4(s))
			socks4_init(&s->v4);
		else
			socks5_init(&s->v5, s->auth);
	}
	state = is_4(s) ? feed_4(s, &at, &n) : feed_5(s, &at, &n, reply);
	*used = (size_t)(at - p);
	return state;
}

static void socks_credentials(const void *in, const char **user,
			      const char **password)
{
	const struct socks *s = in;

	socks5_credentials(&s->v5, user, password);
}

static enum inbound_state socks_admit(void *in, struct reply *reply)
{
	struct socks *s = in;

	reply->len = socks5_admit(&s->v5, reply->bytes);
	return INBOUND_MORE;
}

static enum reason socks_why(const void *in)
{
	const struct socks *s = in;

	return is_4(s) ? s->v4.why : s->v5.why;
}

static const struct addr *socks_target(const void *in)
{
	const struct socks *s = in;

	return is_4(s) ? &s->v4.target : &s->v5.target;
}

static void socks_accept(void *in, const char *bound, struct reply *reply)
{
	reply->len = is_4(in) ? socks4_reply(reply->bytes, REASON_DONE, bound)
			      : socks5_reply(reply->bytes, REASON_DONE, bound);
}

static void socks_refuse(void *in, enum reason why, struct reply *reply)
{
	const struct socks *s = in;

	if (is_4(s))
		reply->len = socks4_reply(reply->bytes, why, NULL);
	else
		reply->len = socks5_refuse(&s->v5, why, reply->bytes);
}

const struct inbound inbound_socks = {
	.name = "socks",
	.new_ = socks_new,
	.free = socks_free,
	.feed = socks_feed,
	.credentials = socks_credentials,
	.admit = socks_admit,
	.why = socks_why,
	.target = socks_target,
	.accept = socks_accept,
	.refuse = socks_refuse,
};

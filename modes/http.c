/* SPDX-License-Identifier: MIT */
/* The HTTP inbound: proto/http1 as a session needs it. */
#include "proto/http1.h"

#include "modes/session.h"

static void *http_new(const char *auth)
{
	return http1_new(auth);
}

static void http_free(void *in)
{
	http1_free(in);
}

static enum inbound_state http_feed(void *in, const uint8_t *p, size_t n,
				    size_t *used, struct reply *reply)
{
	(void)reply;
	switch (http1_feed(in, p, n, used)) {
	case HTTP1_MORE:
		break;
	case HTTP1_DONE:
		return INBOUND_DONE;
	case HTTP1_FAILED:
		return INBOUND_FAILED;
	}
	*used = n;
	return INBOUND_MORE;
}

static enum reason http_why(const void *in)
{
	return http1_why(in);
}

static const struct addr *http_target(const void *in)
{
	return http1_target(in);
}

static const uint8_t *http_head(const void *in, size_t *n)
{
	return http1_head(in, n);
}

static size_t http_pass(void *in, const uint8_t *p, size_t n)
{
	return http1_body(in, p, n);
}

static bool http_broken(const void *in)
{
	return http1_broken(in);
}

static size_t http_reply(void *in, const uint8_t *p, size_t n)
{
	return http1_reply(in, p, n);
}

static bool http_over(const void *in)
{
	return http1_over(in);
}

/* A request in absolute form is answered by the origin. */
static void http_accept(void *in, const char *bound, struct reply *reply)
{
	(void)bound;
	if (http1_is_connect(in))
		reply->len =
			http1_write_reply((char *)reply->bytes, REASON_DONE);
}

static void http_refuse(void *in, enum reason why, struct reply *reply)
{
	(void)in;
	reply->len = http1_write_reply((char *)reply->bytes, why);
}

const struct inbound inbound_http = {
	.name = "http",
	.new_ = http_new,
	.free = http_free,
	.feed = http_feed,
	.why = http_why,
	.target = http_target,
	.head = http_head,
	.pass = http_pass,
	.broken = http_broken,
	.reply = http_reply,
	.over = http_over,
	.accept = http_accept,
	.refuse = http_refuse,
};

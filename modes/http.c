/* SPDX-License-Identifier: MIT */
/* The HTTP inbound: proto/http1 as a session needs it. */
#include "proto/http1.h"

#include "modes/session.h"

static void *http_new(bool auth)
{
	return http1_new(auth);
}

static void http_free(void *in)
{
	http1_free(in);
}

static enum inbound_state kind(const struct http1 *h)
{
	switch (http1_kind(h)) {
	case HTTP1_CONNECT:
		break;
	case HTTP1_FORWARD:
		return INBOUND_CARRY;
	case HTTP1_LOCAL:
		return INBOUND_LOCAL;
	}
	return INBOUND_DONE;
}

static enum inbound_state http_feed(void *in, const uint8_t *p, size_t n,
				    size_t *used, struct reply *reply)
{
	(void)reply;
	switch (http1_feed(in, p, n, used)) {
	case HTTP1_MORE:
		break;
	case HTTP1_AUTH:
		return INBOUND_AUTH;
	case HTTP1_DONE:
		return kind(in);
	case HTTP1_FAILED:
		return INBOUND_FAILED;
	}
	return INBOUND_MORE;
}

static void http_credentials(const void *in, const char **user,
			     const char **password)
{
	http1_credentials(in, user, password);
}

static enum inbound_state http_admit(void *in, struct reply *reply)
{
	(void)reply;
	http1_admit(in);
	return kind(in);
}

static enum reason http_why(const void *in)
{
	return http1_why(in);
}

static const struct addr *http_target(const void *in)
{
	return http1_target(in);
}

static struct http1 *http_request(void *in)
{
	return in;
}

static void http_accept(void *in, const char *bound, struct reply *reply)
{
	(void)in;
	(void)bound;
	reply->len = page_established((char *)reply->bytes);
}

static void http_refuse(void *in, enum reason why, struct reply *reply)
{
	reply->len = page_refusal((char *)reply->bytes, why, http1_is_head(in));
}

const struct inbound inbound_http = {
	.name = "http",
	.new_ = http_new,
	.free = http_free,
	.feed = http_feed,
	.credentials = http_credentials,
	.admit = http_admit,
	.why = http_why,
	.target = http_target,
	.request = http_request,
	.accept = http_accept,
	.refuse = http_refuse,
};

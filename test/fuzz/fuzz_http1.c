/* SPDX-License-Identifier: MIT */
/* Requests to the proxy: the result does not depend on how they are cut, and
 * the head that goes on is a good one for the same target. */
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "proto/http1.h"
#include "test/fuzz/fuzz.h"

static int on_head(llhttp_t *p)
{
	(void)p;
	return 2;
}

/* llhttp must take it, to its last byte, and nothing may be smuggled in. */
static void check_head(const uint8_t *p, size_t n)
{
	llhttp_settings_t settings;
	llhttp_t parser;

	check(n > 4 && memcmp(p + n - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < n; i++) {
		check(p[i] != 0);
		check((p[i] == '\n') == (i && p[i - 1] == '\r'));
	}
	check(memmem(p, n - 4, "\r\n\r\n", 4) == NULL);
	llhttp_settings_init(&settings);
	settings.on_headers_complete = on_head;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	check(llhttp_execute(&parser, (const char *)p, n) ==
	      HPE_PAUSED_UPGRADE);
	check(llhttp_get_error_pos(&parser) == (const char *)p + n);
}

static enum http1_state run(struct http1 *h, const uint8_t *p, size_t n,
			    size_t at, size_t *body)
{
	size_t used, k;
	enum http1_state s = http1_feed(h, p, at, &used);

	*body = 0;
	if (s == HTTP1_MORE) {
		p += at;
		n -= at;
		s = http1_feed(h, p, n, &used);
	}
	if (s != HTTP1_DONE)
		return s;
	k = http1_body(h, p + used, n - used);
	check(k <= n - used);
	*body = k;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < 4; i++) {
		size_t at = i * n / 4, a, b, len;
		struct http1 *h = http1_new(NULL), *g = http1_new(NULL);
		enum http1_state s = run(h, p, n, at, &a);

		check(run(g, p, n, 0, &b) == s);
		check(http1_why(h) == http1_why(g));
		if (s == HTTP1_DONE) {
			const uint8_t *head = http1_head(h, &len);

			check(http1_target(h)->port != 0);
			check(host_parse(http1_target(h)->host,
					 strlen(http1_target(h)->host), NULL));
			if (http1_is_connect(h))
				check(len == 0);
			else
				check_head(head, len);
		}
		http1_free(h);
		http1_free(g);
	}
	return 0;
}

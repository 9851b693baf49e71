/* SPDX-License-Identifier: MIT */
/* A proxy's answers: the result does not depend on how they are cut, and what
 * is to be sent fits. */
#include <string.h>

#include "proto/upstream.h"
#include "test/fuzz/fuzz.h"

static enum upstream_state run(struct upstream *u, const uint8_t *p, size_t n,
			       size_t step, size_t *all)
{
	enum upstream_state s = UPSTREAM_MORE;
	uint8_t out[UPSTREAM_OUT_MAX];
	size_t used, len;

	for (*all = 0; s == UPSTREAM_MORE && *all < n; *all += used) {
		size_t k = n - *all < step ? n - *all : step;

		s = upstream_feed(u, p + *all, k, &used, out, &len);
		check(used <= k && len <= sizeof(out));
		check(s != UPSTREAM_MORE || used > 0);
	}
	return s;
}

/* What is said first is whole, and a line of it ends where it should. */
static void check_begin(struct upstream *u, const struct proxy_url *url)
{
	uint8_t out[UPSTREAM_OUT_MAX];
	size_t n = upstream_begin(u, out);

	check(n > 0 && n <= sizeof(out));
	check(url->socks || memmem(out, n, "\r\n\r\n", 4) == out + n - 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct addr target = {.host = "h", .port = 1};
	static const char *const urls[] = {"http://u:p@h:1", "socks5://u:p@h:1",
					   "socks5://h:1", "http://h:1"};
	struct proxy_url url;

	if (n == 0)
		return 0;
	check(proxy_url_parse(urls[p[0] % 4], &url) == ADDR_OK);
	for (size_t step = 1; step < 4; step++) {
		struct upstream *a = upstream_new(&url, &target);
		struct upstream *b = upstream_new(&url, &target);
		size_t i, k;
		enum upstream_state s;

		check_begin(a, &url);
		check_begin(b, &url);
		s = run(a, p + 1, n - 1, n, &i);
		check(run(b, p + 1, n - 1, step, &k) == s);
		check(s != UPSTREAM_DONE || i == k);
		check(upstream_why(a) == upstream_why(b));
		check(strcmp(upstream_detail(a), upstream_detail(b)) == 0);
		upstream_free(a);
		upstream_free(b);
	}
	return 0;
}

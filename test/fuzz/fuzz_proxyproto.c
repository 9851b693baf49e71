/* SPDX-License-Identifier: MIT */
/* The PROXY protocol: the result does not depend on how it is cut, and asking
 * for what is wanted never takes a byte of what follows. */
#include <string.h>

#include "proto/proxyproto.h"
#include "test/fuzz/fuzz.h"

/* step 0: what is wanted. */
static enum proxyproto_state run(struct proxyproto *p, const uint8_t *in,
				 size_t n, size_t step, size_t *all)
{
	enum proxyproto_state s = PROXYPROTO_MORE;
	size_t used;

	proxyproto_init(p);
	for (*all = 0; s == PROXYPROTO_MORE && *all < n; *all += used) {
		size_t want = proxyproto_want(p), k = step ? step : want;

		check(want > 0);
		if (k > n - *all)
			k = n - *all;
		s = proxyproto_feed(p, in + *all, k, &used);
		check(used > 0 && used <= k);
		check(s != PROXYPROTO_MORE || used == k);
		check(s != PROXYPROTO_DONE || step || used == k);
	}
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct proxyproto a, b;
	size_t all, k;
	enum proxyproto_state s = run(&a, in, n, n, &all);

	for (size_t step = 0; step < 4; step++) {
		check(run(&b, in, n, step, &k) == s);
		check(s == PROXYPROTO_MORE || k == all);
		check(strcmp(a.from.host, b.from.host) == 0);
		check(a.from.port == b.from.port);
	}
	check(s != PROXYPROTO_DONE || !a.from.host[0] ||
	      host_family(a.from.host));
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* SOCKS4: the result does not depend on how the bytes are cut. */
#include <string.h>

#include "proto/socks4.h"
#include "test/fuzz/fuzz.h"

static enum socks4_event run(struct socks4 *s, const uint8_t *p, size_t n,
			     size_t step, size_t *used)
{
	enum socks4_event e = SOCKS4_MORE;
	const uint8_t *at = p;

	socks4_init(s);
	while (e == SOCKS4_MORE && at < p + n) {
		size_t left = (size_t)(p + n - at);
		size_t k = left < step ? left : step;

		e = socks4_feed(s, &at, &k);
	}
	*used = (size_t)(at - p);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct socks4 a, b;
	size_t i, k;
	enum socks4_event e = run(&a, p, n, n, &i);

	for (size_t step = 1; step < 5; step++) {
		check(run(&b, p, n, step, &k) == e && k == i);
		check(a.why == b.why);
	}
	check((e == SOCKS4_FAILED) == (a.why != REASON_DONE));
	if (e == SOCKS4_DONE) {
		check(a.target.port != 0);
		check(host_parse(a.target.host, strlen(a.target.host), NULL));
	}
	return 0;
}

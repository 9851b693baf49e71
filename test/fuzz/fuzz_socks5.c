/* SPDX-License-Identifier: MIT */
/* SOCKS5: the result does not depend on how the bytes are cut. */
#include <string.h>

#include "proto/socks5.h"
#include "test/fuzz/fuzz.h"

static enum socks5_event run(struct socks5 *s, const uint8_t *p, size_t n,
			     size_t step, size_t *used)
{
	enum socks5_event e = SOCKS5_MORE;
	const uint8_t *at = p;

	socks5_init(s, NULL);
	while (e == SOCKS5_MORE && at < p + n) {
		size_t k = (size_t)(p + n - at) < step ? (size_t)(p + n - at)
						       : step;

		while ((e = socks5_feed(s, &at, &k)) == SOCKS5_GREETED)
			continue;
	}
	*used = (size_t)(at - p);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t out[SOCKS5_REPLY_MAX];
	struct socks5 a, b;
	size_t i, k;
	enum socks5_event e = run(&a, p, n, n, &i);

	for (size_t step = 1; step < 5; step++) {
		check(run(&b, p, n, step, &k) == e && k == i);
		check(a.why == b.why);
	}
	if (e == SOCKS5_DONE) {
		check(a.target.port != 0);
		check(host_parse(a.target.host, strlen(a.target.host), NULL));
	}
	if (e == SOCKS5_FAILED)
		check(socks5_refusal(&a, out) <= sizeof(out));
	return 0;
}

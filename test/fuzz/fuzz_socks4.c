/* SPDX-License-Identifier: MIT */
/* SOCKS4: the result does not depend on how the bytes are cut, and the answer
 * says it. */
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

static void check_reply(enum reason why, const struct addr *target)
{
	uint8_t out[SOCKS4_REPLY_MAX];
	char bound[ADDR_TEXT_MAX];

	addr_format(target, bound);
	check(socks4_reply(out, why, why == REASON_DONE ? bound : NULL) == 8);
	check(out[0] == 0 && out[1] == (why == REASON_DONE ? 90 : 91));
	check(why != REASON_DONE || host_family(target->host) != 4 ||
	      (out[2] << 8 | out[3]) == target->port);
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
		check_reply(REASON_DONE, &a.target);
	}
	if (e == SOCKS4_FAILED)
		check_reply(a.why, &a.target);
	return 0;
}

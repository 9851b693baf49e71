/* SPDX-License-Identifier: MIT */
/* SOCKS5: the result does not depend on how the bytes are cut. */
#include <string.h>

#include "proto/socks5.h"
#include "test/fuzz/fuzz.h"

/* Every user is let in. */
static enum socks5_event run(struct socks5 *s, bool auth, const uint8_t *p,
			     size_t n, size_t step, size_t *used)
{
	uint8_t out[SOCKS5_REPLY_MAX];
	const char *user, *password;
	enum socks5_event e = SOCKS5_MORE;
	const uint8_t *at = p;

	socks5_init(s, auth);
	while (e == SOCKS5_MORE && at < p + n) {
		size_t k = (size_t)(p + n - at) < step ? (size_t)(p + n - at)
						       : step;

		while ((e = socks5_feed(s, &at, &k)) == SOCKS5_GREETED ||
		       e == SOCKS5_USER) {
			if (e == SOCKS5_GREETED)
				continue;
			socks5_credentials(s, &user, &password);
			check(strlen(user) < 256 && strlen(password) < 256);
			check(socks5_refuse(s, REASON_LIMIT, out) == 2);
			socks5_admit(s, out);
		}
	}
	*used = (size_t)(at - p);
	return e;
}

static void try(const uint8_t *p, size_t n, bool auth)
{
	uint8_t out[SOCKS5_REPLY_MAX];
	struct socks5 a, b;
	size_t i, k;
	enum socks5_event e = run(&a, auth, p, n, n, &i);

	for (size_t step = 1; step < 5; step++) {
		check(run(&b, auth, p, n, step, &k) == e && k == i);
		check(a.why == b.why);
	}
	if (e == SOCKS5_DONE) {
		check(a.target.port != 0);
		check(host_parse(a.target.host, strlen(a.target.host), NULL));
	}
	if (e == SOCKS5_FAILED)
		check(socks5_refuse(&a, a.why, out) <= sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	try(p, n, false);
	try(p, n, true);
	return 0;
}

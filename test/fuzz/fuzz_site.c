/* SPDX-License-Identifier: MIT */
/* Requests one after the other: the same however they are cut; what may be
 * opened is below the root; each has an answer that is whole. */
#include <stdlib.h>
#include <string.h>

#include "proto/site.h"
#include "test/fuzz/fuzz.h"

#define REQUESTS 8

struct seen {
	struct site_request at[REQUESTS];
	int count;
};

static void check_path(const char *p)
{
	check(*p != '/' && strlen(p) < SITE_PATH_MAX);
	check(*p != '.' && !strstr(p, "/.") && !strstr(p, "//"));
}

static void check_answer(const struct site_request *r)
{
	struct site_answer a = {.status = r->status,
				.head = r->head,
				.close = r->close,
				.type = site_type(r->path),
				.target = r->target};
	char out[SITE_OUT_MAX];
	size_t n = site_write(out, &a);

	check(n < sizeof(out) && memmem(out, n, "\r\n\r\n", 4));
	a.status = 301;
	n = site_write(out, &a);
	check(n < sizeof(out) && memmem(out, n, "\r\n\r\n", 4));
}

static void run(const uint8_t *p, size_t n, size_t step, struct seen *seen)
{
	struct site *s = site_new();
	size_t at = 0, used;

	memset(seen, 0, sizeof(*seen));
	while (at < n && seen->count < REQUESTS) {
		size_t k = n - at < step ? n - at : step;
		enum site_state state = site_feed(s, p + at, k, &used);

		check(used <= k);
		at += used;
		if (state == SITE_MORE) {
			check(used == k);
			continue;
		}
		seen->at[seen->count++] = *site_request(s);
		if (site_request(s)->status == 200)
			check_path(site_request(s)->path);
		check_answer(site_request(s));
		if (site_request(s)->close)
			break;
	}
	site_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct seen a, b;
	const size_t steps[] = {1, 5};

	run(p, n, n ? n : 1, &a);
	for (size_t i = 0; i < 2; i++) {
		run(p, n, steps[i], &b);
		check(a.count == b.count);
		for (int k = 0; k < a.count; k++) {
			check(a.at[k].status == b.at[k].status);
			check(a.at[k].close == b.at[k].close);
			check(strcmp(a.at[k].path, b.at[k].path) == 0);
		}
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The resolver against a name server on the loopback interface that knows a
 * few names, and is silent about one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <uv.h>

#include "core/resolve.h"
#include "core/worker.h"

#define LIMIT_MS    10000 /* no answer may take that long */
#define HEADER_SIZE 12    /* RFC 1035 section 4.1.1 */
#define TYPE_A      1
#define TYPE_AAAA   28
#define NXDOMAIN    3

static const struct entry {
	const char *name;
	int v4, v6; /* how many addresses */
} zone[] = {
	{"four.test", 1, 0},  {"six.test", 0, 2},   {"both.test", 3, 3},
	{"many.test", 20, 0}, {"empty.test", 0, 0},
};

/* The worker, and what the name server has for state. */
struct fixture {
	struct worker w;
	uv_udp_t dns;
	uv_timer_t tick;
	char packet[512];
	int silent; /* questions left without an answer */
};

struct lookup {
	int calls;
	enum reason why;
	int n;
	struct sockaddr_storage addrs[RESOLVE_MAX];
};

/* The name server. */

/* Copy the question's name, "a.test"; returns where its type is. */
static size_t read_name(const uint8_t *p, size_t n, char *out)
{
	size_t at = HEADER_SIZE;
	char *to = out;

	while (at < n && p[at]) {
		memcpy(to, p + at + 1, p[at]);
		to += p[at];
		*to++ = '.';
		at += 1u + p[at];
	}
	*(to > out ? to - 1 : to) = 0;
	return at + 1;
}

static size_t put_address(uint8_t *p, int type, int i)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	static const uint8_t example6[4] = {0x20, 0x01, 0x0d, 0xb8};
	uint8_t size = type == TYPE_A ? 4 : 16;
	const uint8_t head[12] = {0xc0, HEADER_SIZE, 0, (uint8_t)type,
				  0,    1,           0, 0,
				  0,    60,          0, size};

	memcpy(p, head, sizeof(head));
	p += sizeof(head);
	memset(p, 0, size);
	if (type == TYPE_A)
		p[0] = 127;
	else
		memcpy(p, i ? example6 : loopback6, i ? 4 : 16);
	p[size - 1] = (uint8_t)(i + 1);
	return sizeof(head) + size;
}

static size_t write_answer(uint8_t *p, size_t question, const struct entry *e,
			   int type)
{
	int count = 0;

	if (e && type == TYPE_A)
		count = e->v4;
	if (e && type == TYPE_AAAA)
		count = e->v6;
	memcpy(p + 2, (uint8_t[]){0x81, e ? 0x80 : 0x80 | NXDOMAIN}, 2);
	memcpy(p + 4, (uint8_t[]){0, 1, 0, (uint8_t)count, 0, 0, 0, 0}, 8);
	for (int i = 0; i < count; i++)
		question += put_address(p + question, type, i);
	return question;
}

static void on_question(uv_udp_t *dns, ssize_t n, const uv_buf_t *buf,
			const struct sockaddr *from, unsigned int flags)
{
	struct fixture *f = dns->data;
	uint8_t *p = (uint8_t *)buf->base;
	char name[512];
	const struct entry *found = NULL;
	uv_buf_t out;
	size_t at;

	(void)flags;
	if (n <= HEADER_SIZE || !from)
		return;
	at = read_name(p, (size_t)n, name);
	if (strcmp(name, "silent.test") == 0) {
		f->silent++;
		return;
	}
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		if (strcmp(name, zone[i].name) == 0)
			found = &zone[i];
	out = uv_buf_init(buf->base, (unsigned int)write_answer(
					     p, at + 4, found, p[at + 1]));
	uv_udp_try_send(dns, &out, 1, from);
}

static void on_room(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct fixture *f = h->data;

	(void)hint;
	*out = uv_buf_init(f->packet, sizeof(f->packet));
}

/* The fixture. */

static void on_tick(uv_timer_t *t)
{
	(void)t; /* the loop turns, so that until() can look */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_in sa;
	int len = sizeof(sa);
	char text[32];

	if (!f || worker_init(&f->w, 1 << 20))
		return -1;
	uv_timer_init(&f->w.loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	uv_udp_init(&f->w.loop, &f->dns);
	f->dns.data = f;
	uv_ip4_addr("127.0.0.1", 0, &sa);
	if (uv_udp_bind(&f->dns, (struct sockaddr *)&sa, 0) ||
	    uv_udp_getsockname(&f->dns, (struct sockaddr *)&sa, &len) ||
	    uv_udp_recv_start(&f->dns, on_room, on_question))
		return -1;
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(sa.sin_port));
	setenv("WSP_TEST_DNS", text, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int err;

	unsetenv("WSP_TEST_DNS");
	uv_close((uv_handle_t *)&f->dns, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	err = worker_done(&f->w);
	free(f);
	return err;
}

static void on_done(void *ctx, enum reason why,
		    const struct sockaddr_storage *addrs, int n)
{
	struct lookup *l = ctx;

	l->calls++;
	l->why = why;
	l->n = n;
	assert_in_range(n, 0, RESOLVE_MAX);
	memcpy(l->addrs, addrs, (size_t)n * sizeof(*addrs));
}

static void wait_for(struct fixture *f, const struct lookup *l)
{
	uint64_t begin = uv_hrtime();

	while (!l->calls) {
		uv_run(&f->w.loop, UV_RUN_ONCE);
		if (uv_hrtime() - begin > LIMIT_MS * 1000000ull)
			fail_msg("no answer");
	}
}

static void turn(struct fixture *f, int n)
{
	while (n--)
		uv_run(&f->w.loop, UV_RUN_ONCE);
}

static struct resolve *start(struct fixture *f, const char *host,
			     struct lookup *l)
{
	struct resolve *r;

	memset(l, 0, sizeof(*l));
	r = resolve_start(&f->w, host, 443, on_done, l);
	assert_non_null(r);
	assert_int_equal(l->calls, 0);
	return r;
}

static struct lookup look_up(struct fixture *f, const char *host)
{
	struct lookup l;

	start(f, host, &l);
	wait_for(f, &l);
	turn(f, 2);
	assert_int_equal(l.calls, 1);
	return l;
}

static const char *address(const struct lookup *l, int i)
{
	static char text[INET6_ADDRSTRLEN];

	uv_ip_name((const struct sockaddr *)&l->addrs[i], text, sizeof(text));
	return text;
}

/* The tests. */

static void literals_are_answered_but_not_at_once(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "192.0.2.77", "::1",
					    "2001:db8::5"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct lookup l = look_up(*state, hosts[i]);

		assert_int_equal(l.why, REASON_DONE);
		assert_int_equal(l.n, 1);
		assert_string_equal(address(&l, 0), hosts[i]);
	}
}

/* RFC 6761 section 6.3. */
static void localhost_needs_no_name_server(void **state)
{
	static const char *const hosts[] = {"localhost", "LocalHost.",
					    "a.b.localhost"};
	struct lookup l;

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		l = look_up(*state, hosts[i]);
		assert_int_equal(l.why, REASON_DONE);
		assert_int_equal(l.n, 2);
		assert_string_equal(address(&l, 0), "127.0.0.1");
		assert_string_equal(address(&l, 1), "::1");
	}
	l = look_up(*state, "notlocalhost");
	assert_int_equal(l.why, REASON_NO_SUCH_NAME);
}

static void a_name_has_the_addresses_of_the_server(void **state)
{
	struct lookup l = look_up(*state, "four.test");

	assert_int_equal(l.why, REASON_DONE);
	assert_int_equal(l.n, 1);
	assert_string_equal(address(&l, 0), "127.0.0.1");
	l = look_up(*state, "six.test");
	assert_int_equal(l.n, 2);
	assert_int_equal(l.addrs[0].ss_family, AF_INET6);
	assert_string_equal(address(&l, 0), "::1");
}

/* RFC 8305 section 4. */
static void the_families_take_turns(void **state)
{
	struct lookup l = look_up(*state, "both.test");

	assert_int_equal(l.n, 6);
	for (int i = 1; i < l.n; i++)
		assert_int_not_equal(l.addrs[i].ss_family,
				     l.addrs[i - 1].ss_family);
}

static void every_address_has_the_port(void **state)
{
	struct lookup l = look_up(*state, "both.test");

	for (int i = 0; i < l.n; i++) {
		/* sin_port and sin6_port lie at the same place */
		struct sockaddr_in *sa = (struct sockaddr_in *)&l.addrs[i];

		assert_int_equal(ntohs(sa->sin_port), 443);
	}
	l = look_up(*state, "::1");
	assert_int_equal(ntohs(((struct sockaddr_in *)l.addrs)->sin_port), 443);
}

static void of_many_addresses_only_some_are_taken(void **state)
{
	struct lookup l = look_up(*state, "many.test");

	assert_int_equal(l.why, REASON_DONE);
	assert_int_equal(l.n, RESOLVE_MAX);
}

static void names_without_an_address_do_not_exist(void **state)
{
	static const char *const hosts[] = {"empty.test", "unknown.test",
					    "x.y.unknown.test"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct lookup l = look_up(*state, hosts[i]);

		assert_int_equal(l.why, REASON_NO_SUCH_NAME);
		assert_int_equal(l.n, 0);
	}
}

static void a_silent_server_holds_up_no_other_name(void **state)
{
	struct fixture *f = *state;
	struct lookup silent[20], l;
	struct resolve *r[20];

	for (int i = 0; i < 20; i++)
		r[i] = start(f, "silent.test", &silent[i]);
	for (int i = 0; i < 20; i++) {
		uint64_t begin = uv_hrtime();

		l = look_up(f, i % 2 ? "four.test" : "both.test");
		assert_int_equal(l.why, REASON_DONE);
		assert_true(uv_hrtime() - begin < 1000000000);
	}
	assert_true(f->silent > 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(silent[i].calls, 0);
		resolve_drop(r[i]);
	}
}

static void a_lookup_may_be_dropped_at_any_time(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost",
					    "both.test", "unknown.test",
					    "silent.test"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		for (int n = 0; n < 8; n++) {
			struct lookup l;
			struct resolve *r = start(f, hosts[i], &l);

			for (int k = 0; k < n && !l.calls; k++)
				turn(f, 1);
			if (l.calls)
				break;
			resolve_drop(r);
			turn(f, 8);
			assert_int_equal(l.calls, 0);
		}
	}
}

static void a_resolver_may_be_freed_and_made_again(void **state)
{
	struct fixture *f = *state;
	struct lookup l;

	resolver_free(&f->w); /* there is none */
	resolve_drop(start(f, "silent.test", &l));
	resolver_free(&f->w);
	turn(f, 3);
	l = look_up(f, "four.test");
	assert_int_equal(l.why, REASON_DONE);
	assert_true(resolve_version()[0] >= '1');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(literals_are_answered_but_not_at_once),
		TEST(localhost_needs_no_name_server),
		TEST(a_name_has_the_addresses_of_the_server),
		TEST(the_families_take_turns),
		TEST(every_address_has_the_port),
		TEST(of_many_addresses_only_some_are_taken),
		TEST(names_without_an_address_do_not_exist),
		TEST(a_silent_server_holds_up_no_other_name),
		TEST(a_lookup_may_be_dropped_at_any_time),
		TEST(a_resolver_may_be_freed_and_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

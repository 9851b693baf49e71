/* SPDX-License-Identifier: MIT */
/*
 * Dials on the loopback interface, with a name server for which "two.test" is
 * 127.0.0.2 and 127.0.0.3, in this order. Only the second one listens. A
 * listener whose backlog is full is an address that never answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/conn.h"
#include "core/dial.h"
#include "core/listen.h"
#include "core/worker.h"

#define LIMIT_MS 10000 /* no test takes that long */
#define FILLERS  4     /* connections that fill a backlog of 0 */
#define LONG_MS  60000 /* a deadline that does not come */

struct fixture {
	struct worker w;
	uv_timer_t tick;
	uv_udp_t dns;
	char packet[512];
	struct listener *listener; /* on 127.0.0.3 */
	uint16_t port;
	struct end *accepted; /* the last one; NULL: none */
	/* what dial() has brought */
	int calls;
	struct end *conn;
	enum reason why;
	int asked;      /* addresses that allow() has seen */
	bool deny[256]; /* addresses that allow() refuses, by the last octet */
	struct dial *dial;
};

/* Ends that nobody uses. */

static void on_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_gone(struct end *e, enum reason why, const char *detail)
{
	struct fixture *f = e->user;

	(void)why;
	(void)detail;
	if (f->conn == e)
		f->conn = NULL;
	else if (f->accepted == e)
		f->accepted = NULL;
}

static const struct end_events idle_events = {
	.sent = on_nothing,
	.ready = on_nothing,
	.dead = on_gone,
};

static void on_accept(void *ctx, struct end *e)
{
	struct fixture *f = ctx;

	if (f->accepted)
		end_drop(f->accepted, REASON_DONE);
	f->accepted = e;
	end_use(e, &idle_events, f);
}

/* The name server: "two.test" has two addresses, "silent.test" no answer, and
 * every other name no address. */

static void on_question(uv_udp_t *dns, ssize_t n, const uv_buf_t *buf,
			const struct sockaddr *from, unsigned int flags)
{
	static const uint8_t records[] = {
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2, /* */
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 3,
	};
	uint8_t *p = (uint8_t *)buf->base;
	const char *name = buf->base + 13; /* behind the first length */
	uv_buf_t out;
	size_t size;
	bool found;

	(void)flags;
	if (n < 13 || !from || strncmp(name, "silent", 6) == 0)
		return;
	size = 12 + strlen(buf->base + 12) + 5; /* the question's end */
	found = strncmp(name, "two", 3) == 0 && p[size - 3] == 1;
	memcpy(p + 2, (uint8_t[]){0x81, 0x80}, 2);
	memcpy(p + 4, (uint8_t[]){0, 1, 0, found ? 2 : 0, 0, 0, 0, 0}, 8);
	if (found)
		memcpy(p + size, records, sizeof(records));
	out = uv_buf_init(buf->base,
			  (unsigned int)(size + (found ? sizeof(records) : 0)));
	uv_udp_try_send(dns, &out, 1, from);
}

static void on_room(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct fixture *f = h->data;

	(void)hint;
	memset(f->packet, 0, sizeof(f->packet));
	*out = uv_buf_init(f->packet, sizeof(f->packet) - 64);
}

static bool dns_start(struct fixture *f)
{
	struct sockaddr_in sa;
	int len = sizeof(sa);
	char text[32];

	uv_udp_init(&f->w.loop, &f->dns);
	f->dns.data = f;
	uv_ip4_addr("127.0.0.1", 0, &sa);
	if (uv_udp_bind(&f->dns, (struct sockaddr *)&sa, 0) ||
	    uv_udp_getsockname(&f->dns, (struct sockaddr *)&sa, &len) ||
	    uv_udp_recv_start(&f->dns, on_room, on_question))
		return false;
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(sa.sin_port));
	setenv("WSP_TEST_DNS", text, 1);
	return true;
}

/* The fixture. */

static void on_tick(uv_timer_t *t)
{
	(void)t; /* the loop turns, so that wait_for() can look */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct listen_spec spec = {
		.at.host = "127.0.0.3", .on = on_accept, .ctx = f};
	const char *error;

	if (!f || worker_init(&f->w, 1 << 20))
		return -1;
	uv_timer_init(&f->w.loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	f->listener = listen_open(&f->w, &spec, &error);
	if (!f->listener || !dns_start(f))
		return -1;
	f->port = (uint16_t)atoi(strrchr(listen_name(f->listener), ':') + 1);
	*state = f;
	return 0;
}

static void turn(struct fixture *f, int n)
{
	while (n--)
		uv_run(&f->w.loop, UV_RUN_ONCE);
}

static void drop_ends(struct fixture *f)
{
	if (f->conn)
		end_drop(f->conn, REASON_DONE);
	if (f->accepted)
		end_drop(f->accepted, REASON_DONE);
	f->conn = f->accepted = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int err;

	drop_ends(f);
	if (f->listener)
		listen_drop(f->listener);
	unsetenv("WSP_TEST_DNS");
	uv_close((uv_handle_t *)&f->dns, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	err = worker_done(&f->w);
	if (f->w.conns)
		err = -1;
	free(f);
	return err;
}

static bool on_allow(void *ctx, const char *host, const struct sockaddr *sa)
{
	struct fixture *f = ctx;

	const uint8_t *ip =
		(const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr;

	assert_true(host[0]);
	f->asked++;
	return !f->deny[ip[3]];
}

static void on_done(void *ctx, struct end *conn, enum reason why)
{
	struct fixture *f = ctx;

	f->calls++;
	f->conn = conn;
	f->why = why;
	assert_int_equal(conn != NULL, why == REASON_DONE);
	if (conn)
		end_use(conn, &idle_events, f);
}

static const struct dial_ops ops = {.allow = on_allow, .done = on_done};

static void start(struct fixture *f, const char *host, uint64_t ms)
{
	drop_ends(f);
	f->calls = f->asked = 0;
	uv_update_time(&f->w.loop);
	f->dial = dial_start(&f->w, host, f->port, ms, &ops, f);
	assert_non_null(f->dial);
	assert_int_equal(f->calls, 0);
}

/* Dial and wait for the result. Returns the milliseconds it took. */
static uint64_t dial(struct fixture *f, const char *host, uint64_t ms)
{
	uint64_t begin = uv_hrtime(), now;

	start(f, host, ms);
	do {
		turn(f, 1);
		now = (uv_hrtime() - begin) / 1000000;
		if (now > LIMIT_MS)
			fail_msg("no end of dialling %s", host);
	} while (!f->calls);
	turn(f, 3);
	assert_int_equal(f->calls, 1);
	/* the attempts that have lost are gone */
	assert_int_equal(f->w.conns, (f->conn != NULL) + (f->accepted != NULL));
	return now;
}

/* Until the second attempt has begun. */
static void wait_for_second(struct fixture *f)
{
	uint64_t begin = uv_hrtime();

	while (f->asked < 2) {
		turn(f, 1);
		if (uv_hrtime() - begin > LIMIT_MS * 1000000ull)
			fail_msg("no second attempt, result %d", (int)f->why);
	}
}

static const char *peer(const struct fixture *f)
{
	return conn_peer(f->conn);
}

/* Nobody listens any more. */
static void stop_listening(struct fixture *f)
{
	listen_drop(f->listener);
	f->listener = NULL;
	turn(f, 2);
}

/* An address and port that take no connection and refuse none. */
struct hole {
	int fd, fillers[FILLERS];
};

static void hole_open(struct hole *h, const char *host, uint16_t port)
{
	struct sockaddr_in sa;
	int one = 1;

	uv_ip4_addr(host, port, &sa);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(h->fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(h->fd, 0))
		fail_msg("cannot listen on %s", host);
	for (int i = 0; i < FILLERS; i++) {
		h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(h->fillers[i], (struct sockaddr *)&sa, sizeof(sa));
	}
}

static void hole_close(struct hole *h)
{
	for (int i = 0; i < FILLERS; i++)
		close(h->fillers[i]);
	close(h->fd);
}

/* The tests. */

static void an_address_is_dialled(void **state)
{
	struct fixture *f = *state;

	dial(f, "127.0.0.3", LONG_MS);
	assert_int_equal(f->why, REASON_DONE);
	assert_int_equal(f->asked, 1);
	assert_true(strncmp(peer(f), "127.0.0.3:", 10) == 0);
	assert_non_null(f->accepted);
}

static void a_port_where_nobody_listens_refuses(void **state)
{
	struct fixture *f = *state;

	stop_listening(f);
	dial(f, "127.0.0.3", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
	dial(f, "two.test", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
}

static void after_a_failure_the_next_address_is_tried_at_once(void **state)
{
	struct fixture *f = *state;

	assert_true(dial(f, "two.test", LONG_MS) < 200);
	assert_int_equal(f->why, REASON_DONE);
	assert_true(strncmp(peer(f), "127.0.0.3:", 10) == 0);
}

/* RFC 8305 section 5. */
static void a_silent_address_delays_the_next_by_250_ms(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	uint64_t ms;

	hole_open(&h, "127.0.0.2", f->port);
	ms = dial(f, "two.test", LONG_MS);
	hole_close(&h);
	assert_int_equal(f->why, REASON_DONE);
	assert_int_equal(f->asked, 2);
	assert_true(strncmp(peer(f), "127.0.0.3:", 10) == 0);
	assert_in_range(ms, 200, 900);
}

static void the_first_attempt_may_still_win(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	int fd;

	hole_open(&h, "127.0.0.2", f->port);
	stop_listening(f); /* the second one is refused */
	start(f, "two.test", LONG_MS);
	wait_for_second(f);
	turn(f, 3);
	assert_int_equal(f->calls, 0);
	for (int i = 0; i < 1000 && !f->calls; i++) {
		turn(f, 1);
		fd = accept(h.fd, NULL, NULL);
		if (fd >= 0)
			close(fd);
	}
	hole_close(&h);
	assert_int_equal(f->calls, 1);
	assert_int_equal(f->why, REASON_DONE);
	assert_true(strncmp(peer(f), "127.0.0.2:", 10) == 0);
}

static void addresses_that_are_not_allowed_are_skipped(void **state)
{
	struct fixture *f = *state;

	f->deny[2] = true;
	dial(f, "two.test", LONG_MS);
	assert_int_equal(f->why, REASON_DONE);
	assert_true(strncmp(peer(f), "127.0.0.3:", 10) == 0);
}

static void if_no_address_is_allowed_the_dial_is_forbidden(void **state)
{
	struct fixture *f = *state;

	f->deny[2] = f->deny[3] = true;
	dial(f, "two.test", LONG_MS);
	assert_int_equal(f->why, REASON_FORBIDDEN);
	dial(f, "127.0.0.3", LONG_MS);
	assert_int_equal(f->why, REASON_FORBIDDEN);
	assert_null(f->accepted);
}

static void a_failure_counts_more_than_what_was_forbidden(void **state)
{
	struct fixture *f = *state;

	stop_listening(f);
	f->deny[2] = true;
	dial(f, "two.test", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
	f->deny[2] = false;
	f->deny[3] = true;
	dial(f, "two.test", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
}

static void a_silent_address_times_out(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	uint64_t ms;

	stop_listening(f);
	hole_open(&h, "127.0.0.3", f->port);
	ms = dial(f, "127.0.0.3", 300);
	hole_close(&h);
	assert_int_equal(f->why, REASON_TIMED_OUT);
	assert_in_range(ms, 250, 1500);
}

static void a_silent_name_server_times_out(void **state)
{
	struct fixture *f = *state;

	assert_in_range(dial(f, "silent.test", 300), 250, 1500);
	assert_int_equal(f->why, REASON_TIMED_OUT);
	assert_int_equal(f->asked, 0);
}

static void a_name_without_addresses_does_not_exist(void **state)
{
	struct fixture *f = *state;

	dial(f, "none.test", LONG_MS);
	assert_int_equal(f->why, REASON_NO_SUCH_NAME);
	assert_int_equal(f->asked, 0);
}

static void at_the_limit_of_sockets_the_reason_says_so(void **state)
{
	struct fixture *f = *state;

	f->w.max_conns = 0;
	dial(f, "127.0.0.3", LONG_MS);
	assert_int_equal(f->why, REASON_LIMIT);
}

static void drop_after(struct fixture *f, const char *host, int turns)
{
	start(f, host, LONG_MS);
	for (int i = 0; i < turns && !f->calls; i++)
		turn(f, 1);
	if (f->calls)
		return;
	dial_drop(f->dial);
	turn(f, 3);
	assert_int_equal(f->calls, 0);
	assert_int_equal(f->w.conns, f->accepted != NULL);
}

static void a_dial_may_be_dropped_at_any_time(void **state)
{
	static const char *const hosts[] = {"127.0.0.3", "two.test",
					    "none.test", "silent.test"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		for (int turns = 0; turns < 8; turns++)
			drop_after(f, hosts[i], turns);
}

static void a_dial_may_be_dropped_while_two_attempts_run(void **state)
{
	struct fixture *f = *state;
	struct hole two, three;

	hole_open(&two, "127.0.0.2", f->port);
	stop_listening(f);
	hole_open(&three, "127.0.0.3", f->port);
	start(f, "two.test", LONG_MS);
	wait_for_second(f);
	assert_int_equal(f->w.conns, 2);
	dial_drop(f->dial);
	turn(f, 3);
	assert_int_equal(f->w.conns, 0);
	assert_int_equal(f->calls, 0);
	hole_close(&two);
	hole_close(&three);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_dialled),
		TEST(a_port_where_nobody_listens_refuses),
		TEST(after_a_failure_the_next_address_is_tried_at_once),
		TEST(a_silent_address_delays_the_next_by_250_ms),
		TEST(the_first_attempt_may_still_win),
		TEST(addresses_that_are_not_allowed_are_skipped),
		TEST(if_no_address_is_allowed_the_dial_is_forbidden),
		TEST(a_failure_counts_more_than_what_was_forbidden),
		TEST(a_silent_address_times_out),
		TEST(a_silent_name_server_times_out),
		TEST(a_name_without_addresses_does_not_exist),
		TEST(at_the_limit_of_sockets_the_reason_says_so),
		TEST(a_dial_may_be_dropped_at_any_time),
		TEST(a_dial_may_be_dropped_while_two_attempts_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

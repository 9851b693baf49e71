/* SPDX-License-Identifier: MIT */
/*
 * Dials on the loopback interface. "localhost" is ::1 and 127.0.0.1, in this
 * order; a listener whose backlog is full is an address that never answers.
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
	struct listener *listener; /* on 127.0.0.1 */
	uint16_t port;
	struct end *accepted; /* the last one; NULL: none */
	/* what dial() has brought */
	int calls;
	struct end *conn;
	enum reason why;
	int asked; /* addresses that allow() has seen */
	bool deny4, deny6;
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
	(void)e;
	(void)why;
	(void)detail;
}

static const struct end_events idle_events = {
	.sent = on_nothing,
	.ready = on_nothing,
	.dead = on_gone,
};

static void on_accept(void *ctx, struct end *e)
{
	struct fixture *f = ctx;

	assert_null(f->accepted);
	f->accepted = e;
	end_use(e, &idle_events, f);
}

/* The fixture. */

static void on_tick(uv_timer_t *t)
{
	(void)t; /* the loop turns, so that wait_for() can look */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct addr at = {.host = "127.0.0.1"};
	const char *error;

	if (!f || worker_init(&f->w, 1 << 20))
		return -1;
	uv_timer_init(&f->w.loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	f->listener = listen_open(&f->w, &at, on_accept, f, &error);
	if (!f->listener)
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

	assert_true(host[0]);
	f->asked++;
	return sa->sa_family == AF_INET ? !f->deny4 : !f->deny6;
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

static bool hole_open(struct hole *h, const char *host, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(struct sockaddr_in);
	int one = 1;

	if (uv_ip4_addr(host, port, (struct sockaddr_in *)&sa)) {
		uv_ip6_addr(host, port, (struct sockaddr_in6 *)&sa);
		len = sizeof(struct sockaddr_in6);
	}
	h->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (h->fd < 0)
		return false;
	setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(h->fd, (struct sockaddr *)&sa, len) || listen(h->fd, 0)) {
		close(h->fd);
		return false;
	}
	for (int i = 0; i < FILLERS; i++) {
		h->fillers[i] =
			socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(h->fillers[i], (struct sockaddr *)&sa, len);
	}
	return true;
}

static void hole_close(struct hole *h)
{
	for (int i = 0; i < FILLERS; i++)
		close(h->fillers[i]);
	close(h->fd);
}

/* A machine without IPv6 cannot run some of the tests. */
static void need_hole(struct hole *h, struct fixture *f)
{
	if (!hole_open(h, "::1", f->port))
		skip();
}

/* The tests. */

static void an_address_is_dialled(void **state)
{
	struct fixture *f = *state;

	dial(f, "127.0.0.1", LONG_MS);
	assert_int_equal(f->why, REASON_DONE);
	assert_int_equal(f->asked, 1);
	assert_true(strncmp(peer(f), "127.0.0.1:", 10) == 0);
	assert_non_null(f->accepted);
}

static void a_port_where_nobody_listens_refuses(void **state)
{
	struct fixture *f = *state;

	stop_listening(f);
	dial(f, "127.0.0.1", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
	dial(f, "localhost", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
}

static void after_a_failure_the_next_address_is_tried_at_once(void **state)
{
	struct fixture *f = *state;

	assert_true(dial(f, "localhost", LONG_MS) < 200);
	assert_int_equal(f->why, REASON_DONE);
	assert_true(strncmp(peer(f), "127.0.0.1:", 10) == 0);
}

/* RFC 8305 section 5. */
static void a_silent_address_delays_the_next_by_250_ms(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	uint64_t ms;

	need_hole(&h, f);
	ms = dial(f, "localhost", LONG_MS);
	hole_close(&h);
	assert_int_equal(f->why, REASON_DONE);
	assert_int_equal(f->asked, 2);
	assert_true(strncmp(peer(f), "127.0.0.1:", 10) == 0);
	assert_in_range(ms, 200, 900);
}

static void the_first_attempt_may_still_win(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	int fd;

	need_hole(&h, f);
	stop_listening(f); /* the second one is refused */
	start(f, "localhost", LONG_MS);
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
	assert_true(strncmp(peer(f), "[::1]:", 6) == 0);
}

static void addresses_that_are_not_allowed_are_skipped(void **state)
{
	struct fixture *f = *state;

	f->deny6 = true;
	dial(f, "localhost", LONG_MS);
	assert_int_equal(f->why, REASON_DONE);
	assert_true(strncmp(peer(f), "127.0.0.1:", 10) == 0);
}

static void if_no_address_is_allowed_the_dial_is_forbidden(void **state)
{
	struct fixture *f = *state;

	f->deny4 = f->deny6 = true;
	dial(f, "localhost", LONG_MS);
	assert_int_equal(f->why, REASON_FORBIDDEN);
	dial(f, "127.0.0.1", LONG_MS);
	assert_int_equal(f->why, REASON_FORBIDDEN);
	assert_null(f->accepted);
}

static void a_failure_counts_more_than_what_was_forbidden(void **state)
{
	struct fixture *f = *state;

	stop_listening(f);
	f->deny6 = true;
	dial(f, "localhost", LONG_MS);
	assert_int_equal(f->why, REASON_REFUSED);
	f->deny6 = false;
	f->deny4 = true;
	dial(f, "localhost", LONG_MS);
	assert_int_not_equal(f->why, REASON_FORBIDDEN);
}

static void a_silent_address_times_out(void **state)
{
	struct fixture *f = *state;
	struct hole h;
	uint64_t ms;

	stop_listening(f);
	assert_true(hole_open(&h, "127.0.0.1", f->port));
	ms = dial(f, "127.0.0.1", 300);
	hole_close(&h);
	assert_int_equal(f->why, REASON_TIMED_OUT);
	assert_in_range(ms, 250, 1500);
}

/* A name server that takes questions and never answers. */
static int silent_dns(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char text[32];

	uv_ip4_addr("127.0.0.1", 0, &sa);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		fail_msg("cannot bind");
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(sa.sin_port));
	setenv("WSP_TEST_DNS", text, 1);
	return fd;
}

static void a_silent_name_server_times_out(void **state)
{
	struct fixture *f = *state;
	int fd = silent_dns();

	assert_in_range(dial(f, "name.test", 300), 250, 1500);
	assert_int_equal(f->why, REASON_TIMED_OUT);
	assert_int_equal(f->asked, 0);
	close(fd);
	unsetenv("WSP_TEST_DNS");
}

static void a_name_without_addresses_does_not_exist(void **state)
{
	struct fixture *f = *state;

	setenv("WSP_TEST_DNS", "127.0.0.1:1", 1); /* refuses */
	dial(f, "name.test", LONG_MS);
	assert_int_equal(f->why, REASON_NO_SUCH_NAME);
	unsetenv("WSP_TEST_DNS");
}

static void at_the_limit_of_sockets_the_reason_says_so(void **state)
{
	struct fixture *f = *state;

	f->w.max_conns = 0;
	dial(f, "127.0.0.1", LONG_MS);
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
	assert_int_equal(f->w.conns, 0);
}

static void a_dial_may_be_dropped_at_any_time(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost",
					    "name.test"};
	struct fixture *f = *state;
	int fd = silent_dns();

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		for (int turns = 0; turns < 8; turns++)
			drop_after(f, hosts[i], turns);
	close(fd);
	unsetenv("WSP_TEST_DNS");
}

static void a_dial_may_be_dropped_while_two_attempts_run(void **state)
{
	struct fixture *f = *state;
	struct hole six, four;

	need_hole(&six, f);
	stop_listening(f);
	assert_true(hole_open(&four, "127.0.0.1", f->port));
	start(f, "localhost", LONG_MS);
	wait_for_second(f);
	assert_int_equal(f->w.conns, 2);
	dial_drop(f->dial);
	turn(f, 3);
	assert_int_equal(f->w.conns, 0);
	assert_int_equal(f->calls, 0);
	hole_close(&six);
	hole_close(&four);
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

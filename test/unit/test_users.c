/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <crypt.h>
#include <uv.h>

#include "core/users.h"
#include "core/worker.h"
#include "proto/container.h"
#include "proto/htpasswd.h"

#define LIMIT_MS 20000 /* no answer may take that long */
#define SLOW     "$2y$08$abcdefghijklmnopqrstuu" /* some 20 ms */

struct fixture {
	struct worker w;
	uv_timer_t tick;
	char path[32];
	struct users *users; /* see end() */
};

struct question {
	struct users_check check;
	struct question *other; /* to be forgotten by the answer */
	int calls;
	enum reason why;
};

/* The fixture. */

static void on_tick(uv_timer_t *t)
{
	(void)t; /* the loop turns, so that wait_for() can look */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	if (!f || worker_init(&f->w, 1 << 20))
		return -1;
	uv_timer_init(&f->w.loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	strcpy(f->path, "/tmp/test_users.XXXXXX");
	fd = mkstemp(f->path);
	*state = f;
	return fd < 0 ? -1 : close(fd);
}

static int setup_fast(void **state)
{
	int err;

	setenv("WSP_TEST_SPEED", "1000", 1);
	err = setup(state);
	unsetenv("WSP_TEST_SPEED");
	return err;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int err;

	unlink(f->path);
	uv_close((uv_handle_t *)&f->tick, NULL);
	err = worker_done(&f->w);
	users_free(f->users);
	free(f);
	return err;
}

static struct users *load(struct fixture *f, const char *text, size_t n,
			  char error[512])
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	fclose(file);
	error[0] = 0;
	return users_load(&f->w, f->path, error, 512);
}

/* "NAME:" and the hash of "pw" by setting. */
static char *line_of(const char *name, const char *setting, char out[300])
{
	const char *hash = crypt("pw", setting);

	snprintf(out, 300, "%s:%s\n", name, hash ? hash : "");
	return out;
}

static struct users *load_one(struct fixture *f, const char *setting)
{
	char line[300], error[512];
	struct users *u;

	line_of("me", setting, line);
	u = load(f, line, strlen(line), error);

	if (!u)
		fail_msg("%s", error);
	return u;
}

static void on_answer(struct users_check *c, enum reason why)
{
	struct question *q = container_of(c, struct question, check);

	q->calls++;
	q->why = why;
	if (q->other)
		users_forget(&q->other->check);
}

/* True: answered at once. */
static bool ask(struct users *u, struct question *q, const char *user,
		const char *password)
{
	memset(q, 0, sizeof(*q));
	return users_ask(u, &q->check, user, password, on_answer, &q->why);
}

static void wait_for(struct fixture *f, const struct question *q)
{
	uint64_t begin = uv_hrtime();

	while (!q->calls) {
		uv_run(&f->w.loop, UV_RUN_ONCE);
		if (uv_hrtime() - begin > LIMIT_MS * 1000000ull)
			fail_msg("no answer");
	}
	assert_int_equal(q->calls, 1);
}

static enum reason ask_and_wait(struct fixture *f, struct users *u,
				const char *user, const char *password)
{
	struct question q;

	assert_false(ask(u, &q, user, password));
	wait_for(f, &q);
	return q.why;
}

/* To be freed when nothing is computed any more, as a process does it. */
static void end(struct fixture *f, struct users *u)
{
	f->users = u;
}

/* The tests. */

static void one_pair_is_judged_at_once(void **state)
{
	static const struct {
		const char *user, *password;
		enum reason why;
	} t[] = {
		{"me", "p:w", REASON_DONE},
		{"me:p", "w", REASON_PROXY_AUTH},
		{"me", "p:", REASON_PROXY_AUTH},
		{"me", "p:ww", REASON_PROXY_AUTH},
		{"m", "ep:w", REASON_PROXY_AUTH},
		{"", "", REASON_PROXY_AUTH},
		{"you", "p:w", REASON_PROXY_AUTH},
	};
	struct fixture *f = *state;
	struct users *u = users_of_pair(&f->w, "me:p:w");
	struct question q;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_true(ask(u, &q, t[i].user, t[i].password));
		assert_int_equal(q.why, t[i].why);
	}
	users_free(u);
}

static void every_scheme_is_checked(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < HTPASSWD_SCHEMES; i++) {
		const char *trial = htpasswd_trial((enum htpasswd_scheme)i);
		const char *hash = crypt("pw", trial);
		struct users *u;

		if (!hash || *hash == '*')
			continue; /* musl's yescrypt */
		u = load_one(f, trial);
		assert_int_equal(ask_and_wait(f, u, "me", "pW"),
				 REASON_PROXY_AUTH);
		assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
		assert_int_equal(ask_and_wait(f, u, "me", ""),
				 REASON_PROXY_AUTH);
		assert_int_equal(ask_and_wait(f, u, "you", "pw"),
				 REASON_PROXY_AUTH);
		users_free(u);
	}
}

static void many_users_are_found_each_by_its_own_hash(void **state)
{
	struct fixture *f = *state;
	char text[64 * 100] = "# users\r\n\n", line[300], name[16], error[512];
	struct users *u;

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "u%d", (i * 7 + 3) % 50);
		strcat(text, line_of(name, "$5$rounds=1000$s", line));
	}
	u = load(f, text, strlen(text), error);
	assert_non_null(u);
	assert_int_equal(users_count(u), 50);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		assert_int_equal(ask_and_wait(f, u, name, "pw"), REASON_DONE);
	}
	assert_int_equal(ask_and_wait(f, u, "u50", "pw"), REASON_PROXY_AUTH);
	users_free(u);
}

static void errors_name_the_file_and_the_line(void **state)
{
#define HASH "$5$s$z3t6rrtFn3lMdv6AmvXeEFzPOKLJ2JypZJIYx/pmpp/"
	static const struct {
		const char *text;
		size_t n;
		const char *line, *error;
	} t[] = {
		{"", 0, ": ", "no user"},
		{"\n# a:" HASH "\n", 54, ": ", "no user"},
		{"a:" HASH "\nb:secret\n", 59, ":2: ", "in clear"},
		{"a:$apr1$x$y", 11, ":1: ", "$apr1$"},
		{"b:" HASH "\n\na:" HASH "\nb:" HASH, 153, ":4: ", "line 1"},
		{"a:" HASH "\n\0\n", 53, ":2: ", "control"},
	};
	struct fixture *f = *state;
	char error[512];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_null(load(f, t[i].text, t[i].n, error));
		if (!strstr(error, f->path) || !strstr(error, t[i].line) ||
		    !strstr(error, t[i].error) || strstr(error, "secret"))
			fail_msg("%zu: %s", i, error);
	}
	assert_null(users_load(&f->w, "/nonexistent/x", error, sizeof(error)));
	assert_string_equal(error, "/nonexistent/x: No such file or directory");
	assert_null(users_load(&f->w, "/tmp", error, sizeof(error)));
	assert_string_equal(error, "/tmp: Is a directory");
}

static void a_file_may_end_anywhere(void **state)
{
	struct fixture *f = *state;
	char text[700] = "", line[300], error[512];
	size_t first;

	strcat(text, line_of("a", "$5$rounds=1000$s", line));
	first = strlen(text);
	strcat(text, line_of("b", "$6$rounds=1000$s", line));
	for (size_t n = 0; n <= strlen(text); n++) {
		struct users *u = load(f, text, n, error);
		bool good =
			n == first - 1 || n == first || n >= strlen(text) - 1;

		if (good != (u != NULL))
			fail_msg("%zu: %s", n, error);
		if (!u)
			assert_non_null(strstr(error, f->path));
		users_free(u);
	}
}

static void again(struct fixture *f, struct users *u, const char *name,
		  bool good)
{
	char line[300], error[512];

	line_of(name, SLOW, line);
	users_free(load(f, good ? line : "me:pw\n", good ? strlen(line) : 6,
			error));
	assert_int_equal(users_again(u, f->path, error, sizeof(error)), good);
	assert_true(good || strstr(error, "in clear"));
}

static void a_file_that_is_read_again_takes_the_place_of_the_old(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q;

	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
	again(f, u, "me", false);
	assert_true(ask(u, &q, "me", "pw"));
	assert_int_equal(q.why, REASON_DONE);
	again(f, u, "you", true);
	assert_int_equal(users_count(u), 1);
	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_PROXY_AUTH);
	assert_int_equal(ask_and_wait(f, u, "you", "pw"), REASON_DONE);
	users_free(u);
}

static void what_an_old_file_says_is_not_of_the_new_one(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question before, after;

	assert_false(ask(u, &before, "me", "pw"));
	again(f, u, "you", true);
	assert_false(ask(u, &after, "me", "pw"));
	wait_for(f, &before);
	assert_int_equal(before.why, REASON_DONE);
	wait_for(f, &after);
	assert_int_equal(after.why, REASON_PROXY_AUTH);
	users_free(u);
}

static void a_right_pair_is_known_for_a_while(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, "$5$rounds=1000$s");
	struct question q;
	uint64_t begin;

	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
	begin = uv_hrtime();
	for (int i = 0; i < 3; i++) {
		/* 300 ms, as fast as the clock of this test is */
		assert_true(ask(u, &q, "me", "pw") ||
			    uv_hrtime() - begin > 250000000);
		users_forget(&q.check);
		assert_int_equal(ask_and_wait(f, u, "me", "pw2"),
				 REASON_PROXY_AUTH);
		assert_int_equal(ask_and_wait(f, u, "me2", "pw"),
				 REASON_PROXY_AUTH);
	}
	while (uv_hrtime() - begin < 700000000)
		uv_run(&f->w.loop, UV_RUN_ONCE);
	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
	end(f, u);
}

static void a_wrong_pair_is_hashed_each_time(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, "$5$rounds=1000$s");

	for (int i = 0; i < 5; i++) {
		assert_int_equal(ask_and_wait(f, u, "me", "no"),
				 REASON_PROXY_AUTH);
		assert_int_equal(ask_and_wait(f, u, "nobody", "no"),
				 REASON_PROXY_AUTH);
	}
	users_free(u);
}

static void what_is_too_long_is_no_user(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, "$5$rounds=1000$s");
	char text[USERS_TEXT_MAX + 2];
	struct question q;

	memset(text, 'x', sizeof(text));
	text[USERS_TEXT_MAX + 1] = 0;
	assert_true(ask(u, &q, text, "pw"));
	assert_int_equal(q.why, REASON_PROXY_AUTH);
	assert_true(ask(u, &q, "me", text));
	assert_int_equal(q.why, REASON_PROXY_AUTH);
	text[USERS_TEXT_MAX] = 0;
	assert_int_equal(ask_and_wait(f, u, text, text), REASON_PROXY_AUTH);
	users_free(u);
}

/* Enough for some to wait for a thread. */
static void ask_many(struct users *u, struct question *q, int n)
{
	char password[16];

	for (int i = 0; i < n; i++) {
		snprintf(password, sizeof(password), "no%d", i);
		assert_false(ask(u, &q[i], "me", password));
	}
}

static void there_are_only_so_many_checks_at_once(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[USERS_CHECKS_MAX], more;

	ask_many(u, q, USERS_CHECKS_MAX);
	assert_true(ask(u, &more, "me", "pw"));
	assert_int_equal(more.why, REASON_LIMIT);
	for (int i = 0; i < USERS_CHECKS_MAX; i++) {
		wait_for(f, &q[i]);
		assert_int_equal(q[i].why, REASON_PROXY_AUTH);
	}
	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
	end(f, u);
}

/* A browser opens many connections at once. */
static void one_pair_is_checked_once_for_all(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[3 * USERS_CHECKS_MAX];

	for (int i = 0; i < 3 * USERS_CHECKS_MAX; i++)
		assert_false(ask(u, &q[i], "me", "pw"));
	for (int i = 0; i < 3 * USERS_CHECKS_MAX; i++) {
		wait_for(f, &q[i]);
		assert_int_equal(q[i].why, REASON_DONE);
	}
	end(f, u);
}

static void who_has_gone_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[40], gone, last;

	ask_many(u, q, 40);
	assert_false(ask(u, &gone, "me", "pw"));
	for (int i = 0; i < 40; i++) {
		users_forget(&q[i].check);
		users_forget(&q[i].check);
	}
	users_forget(&gone.check);
	/* that one will not be computed: another must be */
	assert_false(ask(u, &last, "me", "pw"));
	wait_for(f, &last);
	assert_int_equal(last.why, REASON_DONE);
	for (int i = 0; i < 40; i++)
		assert_int_equal(q[i].calls, 0);
	assert_int_equal(gone.calls, 0);
	end(f, u);
}

static void who_goes_makes_room(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[USERS_CHECKS_MAX], more;

	ask_many(u, q, USERS_CHECKS_MAX);
	assert_true(ask(u, &more, "me", "pw"));
	for (int i = 0; i < USERS_CHECKS_MAX; i++)
		users_forget(&q[i].check);
	uv_run(&f->w.loop, UV_RUN_ONCE);
	uv_run(&f->w.loop, UV_RUN_ONCE);
	assert_int_equal(ask_and_wait(f, u, "me", "pw"), REASON_DONE);
	end(f, u);
}

static void an_answer_may_make_others_go(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[3];

	for (int i = 0; i < 3; i++)
		assert_false(ask(u, &q[i], "me", "pw"));
	q[0].other = &q[1];
	q[2].other = &q[1];
	wait_for(f, &q[0]);
	assert_int_equal(q[0].why, REASON_DONE);
	assert_int_equal(q[1].calls, 0);
	assert_int_equal(q[2].calls, 1);
	end(f, u);
}

/* As a process does that ends while hashes are computed. */
static void the_end_waits_for_what_is_computed(void **state)
{
	struct fixture *f = *state;
	struct users *u = load_one(f, SLOW);
	struct question q[10];

	ask_many(u, q, 10);
	for (int i = 0; i < 10; i++)
		users_forget(&q[i].check);
	end(f, u);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_pair_is_judged_at_once),
		TEST(every_scheme_is_checked),
		TEST(many_users_are_found_each_by_its_own_hash),
		TEST(errors_name_the_file_and_the_line),
		TEST(a_file_may_end_anywhere),
		TEST(a_file_that_is_read_again_takes_the_place_of_the_old),
		TEST(what_an_old_file_says_is_not_of_the_new_one),
		cmocka_unit_test_setup_teardown(
			a_right_pair_is_known_for_a_while, setup_fast,
			teardown),
		TEST(a_wrong_pair_is_hashed_each_time),
		TEST(what_is_too_long_is_no_user),
		TEST(there_are_only_so_many_checks_at_once),
		TEST(one_pair_is_checked_once_for_all),
		TEST(who_has_gone_is_not_answered),
		TEST(who_goes_makes_room),
		TEST(an_answer_may_make_others_go),
		TEST(the_end_waits_for_what_is_computed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Bytes from socket to socket through a pipe: all of them, in order, and never
 * those of somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/pour.h"
#include "core/splice.h"

struct fixture {
	uv_loop_t loop;
	uv_pipe_t from, to; /* whose other ends are: */
	int source, sink;
	struct splice splice;
	struct bufpool pool;
};

static int join(struct fixture *f, uv_pipe_t *h)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(uv_pipe_init(&f->loop, h, 0), 0);
	assert_int_equal(uv_pipe_open(h, fds[0]), 0);
	return fds[1];
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(uv_loop_init(&f.loop), 0);
	f.source = join(&f, &f.from);
	f.sink = join(&f, &f.to);
	bufpool_init(&f.pool);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uv_close((uv_handle_t *)&f->from, NULL);
	uv_close((uv_handle_t *)&f->to, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	close(f->source);
	close(f->sink);
	splice_done(&f->splice);
	bufpool_done(&f->pool);
	return uv_loop_close(&f->loop);
}

static ssize_t take(struct fixture *f, size_t max, struct buf *b)
{
	return splice_read(&f->splice, (uv_handle_t *)&f->from, max, b);
}

/* Write b, as far as that goes; what is left of it stays in *q. */
static int give(struct fixture *f, struct buf *b, struct bufq *q, size_t *gone)
{
	bufq_init(q);
	bufq_put(q, b);
	return pour((uv_stream_t *)&f->to, q, gone);
}

static void expect(const struct fixture *f, const char *text)
{
	char got[64];

	assert_int_equal(read(f->sink, got, sizeof(got)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void a_header_goes_in_front_of_what_lies_aside(void **state)
{
	struct fixture *f = *state;
	struct bufq q;
	struct buf b;
	size_t gone = 0;

	assert_true(splice_ready(&f->splice));
	assert_int_equal(write(f->source, "payload and more", 16), 16);
	assert_int_equal(take(f, 7, &b), 7);
	memcpy(buf_push(&b, 5), "head:", 5);
	bufq_init(&q);
	bufq_put(&q, buf_copy(&f->pool, "before ", 7));
	bufq_put(&q, &b);
	bufq_put(&q, buf_copy(&f->pool, " behind", 7));
	assert_int_equal(pour((uv_stream_t *)&f->to, &q, &gone), 0);
	assert_null(q.head);
	assert_int_equal(gone, 26);
	assert_int_equal(f->splice.aside.n, 0);
	expect(f, "before head:payload behind");
	splice_clear(&f->splice);
	assert_true(f->splice.open);
	assert_int_equal(take(f, 100, &b), 9);
	assert_int_equal(b.len, 9);
}

static void what_nobody_wanted_is_not_shown_to_the_next(void **state)
{
	struct fixture *f = *state;
	struct bufq q;
	struct buf b;
	size_t gone = 0;

	assert_true(splice_ready(&f->splice));
	assert_int_equal(write(f->source, "secretpublic", 12), 12);
	assert_int_equal(take(f, 6, &b), 6);
	splice_clear(&f->splice);
	assert_int_equal(f->splice.aside.n, 0);
	assert_true(splice_ready(&f->splice));
	assert_int_equal(take(f, 6, &b), 6);
	assert_int_equal(give(f, &b, &q, &gone), 0);
	expect(f, "public");
}

/* What a socket refuses is fetched, and follows. */
static void a_full_socket_loses_nothing(void **state)
{
	struct fixture *f = *state;
	static uint8_t sent[1 << 20], got[1 << 20];
	size_t in = 0, out = 0, gone = 0;
	struct bufq q;
	struct buf b;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_true(splice_ready(&f->splice));
	bufq_init(&q);
	while (out < sizeof(sent)) {
		ssize_t n = send(f->source, sent + in, sizeof(sent) - in,
				 MSG_DONTWAIT);

		in += n > 0 ? (size_t)n : 0;
		if (!q.head && take(f, 300000, &b) > 0) {
			bufq_put(&q, &b);
			assert_int_equal(pour((uv_stream_t *)&f->to, &q, &gone),
					 0);
			if (q.head)
				assert_true(
					bufq_keep(&q, bufq_get(&q), &f->pool));
			splice_clear(&f->splice);
		}
		assert_int_equal(pour((uv_stream_t *)&f->to, &q, &gone), 0);
		n = recv(f->sink, got + out, 70000, MSG_DONTWAIT);
		out += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(gone, sizeof(sent));
	assert_memory_equal(sent, got, sizeof(sent));
}

static void ends_and_failures_are_told(void **state)
{
	struct fixture *f = *state;
	struct bufq q;
	struct buf b;
	size_t gone = 0;

	assert_true(splice_ready(&f->splice));
	assert_int_equal(take(f, 100, &b), UV_EAGAIN);
	assert_int_equal(write(f->source, "x", 1), 1);
	shutdown(f->source, SHUT_WR);
	assert_int_equal(take(f, 100, &b), 1);
	shutdown(f->sink, SHUT_RD);
	assert_int_equal(give(f, &b, &q, &gone), UV_EPIPE);
	splice_clear(&f->splice);
	assert_true(splice_ready(&f->splice));
	assert_int_equal(take(f, 100, &b), 0);
}

/* Then all is copied. */
static void without_a_pipe_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, few;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)f->source;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_false(splice_ready(&f->splice));
	setrlimit(RLIMIT_NOFILE, &old);
	assert_false(splice_ready(&f->splice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_header_goes_in_front_of_what_lies_aside),
		TEST(what_nobody_wanted_is_not_shown_to_the_next),
		TEST(a_full_socket_loses_nothing),
		TEST(ends_and_failures_are_told),
		TEST(without_a_pipe_there_is_none),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

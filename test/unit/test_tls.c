/* SPDX-License-Identifier: MIT */
/*
 * Two TLS sessions, a client's and a server's, over a real connection on the
 * loopback interface and one worker. Below each sits a tap, an end that counts
 * what passes and can damage or withhold it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "core/conn.h"
#include "core/listen.h"
#include "core/tls.h"
#include "core/worker.h"
#include "proto/buf.h"
#include "proto/container.h"

#define MEMORY   (64u * 1024 * 1024)
#define LIMIT_MS 20000 /* no test takes that long */
#define CHUNK    40000
#define PRIME    251 /* the pattern of what is sent repeats after so many */
#define MOST     (3 * BUF_MAX) /* of bufs, in use by one direction */
#define FULL     500 /* a handshake with a certificate has more bytes */

enum event { NONE, OPENED, DATA, SENT, READY, EOF_, FLUSHED, EVENTS };

struct tap {
	struct end end;
	struct end *lower; /* NULL: dropped, or dead */
	size_t rx, tx, sent;
	bool damage;   /* the next bytes that come */
	bool hold_fin; /* fin() is not passed on */
	bool cut;      /* tap_cut() was called */
};

struct peer {
	struct pair *pair;
	struct tap tap;
	struct end *e; /* NULL: not made, gone, or dropped */
	bool started;
	size_t to_send, given, told;
	size_t max; /* asked of every read */
	size_t got;
	size_t head; /* ciphertext of the handshake */
	size_t room;
	bool hold; /* does not fin() when all is given */
	bool fin, opened, ready, eof, flushed, dead;
	enum event drop_at;
	enum reason why;
	char detail[128];
};

struct pair {
	struct worker w;
	uv_timer_t tick;
	struct listener *listener;
	struct tls_context *client_ctx, *server_ctx;
	const char *host;
	bool raw; /* the client speaks no TLS */
	struct peer client, server;
};

static char dir[] = "/tmp/wsp-test-tls-XXXXXX";

/* The tap. */

static size_t tap_send(struct end *e, struct bufq *q)
{
	struct tap *t = container_of(e, struct tap, end);

	t->tx += q->bytes;
	return end_send(t->lower, q);
}

static void tap_fin(struct end *e)
{
	struct tap *t = container_of(e, struct tap, end);

	if (!t->hold_fin)
		end_fin(t->lower);
}

static void tap_read(struct end *e, size_t max)
{
	end_read(container_of(e, struct tap, end)->lower, max);
}

static void tap_left(struct end *e, size_t n)
{
	end_left(container_of(e, struct tap, end)->lower, n);
}

static void tap_drop(struct end *e, enum reason why)
{
	struct tap *t = container_of(e, struct tap, end);
	struct end *lower = t->lower;

	t->lower = NULL;
	end_drop(lower, why);
}

static const struct end_ops tap_ops = {
	.send = tap_send,
	.fin = tap_fin,
	.read = tap_read,
	.left = tap_left,
	.drop = tap_drop,
};

static void on_tap_opened(struct end *e, const char *bound)
{
	struct tap *t = e->user;

	t->end.events->opened(&t->end, bound);
}

static void on_tap_data(struct end *e, struct bufq *q)
{
	struct tap *t = e->user;

	t->rx += q->bytes;
	if (t->damage)
		buf_ptr(q->head)[q->head->len - 1] ^= 1;
	t->damage = false;
	t->end.events->data(&t->end, q);
}

static void on_tap_sent(struct end *e, size_t n)
{
	struct tap *t = e->user;

	t->sent += n;
	t->end.events->sent(&t->end, n);
}

static void on_tap_ready(struct end *e, size_t n)
{
	struct tap *t = e->user;

	t->end.events->ready(&t->end, n);
}

static void on_tap_eof(struct end *e)
{
	struct tap *t = e->user;

	t->end.events->eof(&t->end);
}

static void on_tap_flushed(struct end *e)
{
	struct tap *t = e->user;

	if (!t->cut)
		t->end.events->flushed(&t->end);
}

static void on_tap_dead(struct end *e, enum reason why, const char *detail)
{
	struct tap *t = e->user;

	t->lower = NULL;
	t->end.events->dead(&t->end, why, detail);
}

static const struct end_events tap_events = {
	.opened = on_tap_opened,
	.data = on_tap_data,
	.sent = on_tap_sent,
	.ready = on_tap_ready,
	.eof = on_tap_eof,
	.flushed = on_tap_flushed,
	.dead = on_tap_dead,
};

static struct end *tap_on(struct tap *t, struct end *lower)
{
	t->lower = lower;
	t->end.ops = &tap_ops;
	end_use(lower, &tap_events, t);
	return &t->end;
}

/* Half-close the connection behind the session's back. */
static void tap_cut(struct tap *t)
{
	t->cut = true;
	end_fin(t->lower);
}

/* A user of a session: sends so many bytes of the pattern, then finishes;
 * checks what comes. */

static void peer_drop(struct peer *p, enum reason why)
{
	struct end *e = p->e;

	p->e = NULL;
	if (e)
		end_drop(e, why);
}

/* True: p has been dropped. */
static bool reached(struct peer *p, enum event event)
{
	if (p->drop_at != event)
		return false;
	peer_drop(p, REASON_LIMIT);
	return true;
}

static void send_chunk(struct peer *p)
{
	static uint8_t bytes[CHUNK];
	size_t n = p->to_send - p->given;
	struct bufq q;
	struct buf view;

	if (n > CHUNK)
		n = CHUNK;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((p->given + i) % PRIME);
	bufq_init(&q);
	buf_lend(&view, bytes, n / 2); /* a lent one and an owned one */
	bufq_put(&q, &view);
	bufq_put(&q, buf_copy(&p->pair->w.pool, bytes + n / 2, n - n / 2));
	p->given += n;
	p->room = end_send(p->e, &q);
	memset(bytes, 0xee, sizeof(bytes));
}

static void send_more(struct peer *p)
{
	while (p->room && p->given < p->to_send)
		send_chunk(p);
	if (p->given == p->to_send && !p->fin && !p->hold) {
		p->fin = true;
		end_fin(p->e);
	}
}

static void on_opened(struct end *e, const char *bound)
{
	struct peer *p = e->user;

	(void)bound;
	assert_false(p->opened);
	p->opened = true;
	p->head = p->given ? 0 : p->tap.tx;
	if (reached(p, OPENED) || p->given)
		return; /* who has sent before waits for ready() */
	p->room = 1;
	send_more(p);
}

static void on_data(struct end *e, struct bufq *q)
{
	struct peer *p = e->user;
	struct buf *b;

	assert_true(p->opened);
	assert_false(p->eof);
	assert_true(p->max && q->bytes && q->bytes <= p->max);
	while ((b = bufq_get(q))) {
		for (uint32_t i = 0; i < b->len; i++)
			if (buf_ptr(b)[i] != (p->got + i) % PRIME)
				fail_msg("byte %zu is wrong", p->got + i);
		p->got += b->len;
		buf_free(b);
	}
	reached(p, DATA);
}

static void on_sent(struct end *e, size_t n)
{
	struct peer *p = e->user;

	p->told += n;
	if (p->pair->raw)
		return;
	assert_true(p->opened && n);
	assert_true(p->told <= p->given);
	/* a byte of plaintext is not less than one of ciphertext */
	assert_true(p->told <= p->tap.sent - p->head);
	reached(p, SENT);
}

static void on_ready(struct end *e, size_t n)
{
	struct peer *p = e->user;

	assert_true(p->opened && n);
	p->ready = true;
	p->room = n;
	if (!reached(p, READY))
		send_more(p);
}

/* Both directions have ended: so may p. */
static void check_over(struct peer *p)
{
	if (p->eof && p->flushed)
		peer_drop(p, REASON_DONE);
}

static void on_eof(struct end *e)
{
	struct peer *p = e->user;

	assert_true(p->max);
	assert_false(p->eof);
	p->eof = true;
	if (!reached(p, EOF_))
		check_over(p);
}

static void on_flushed(struct end *e)
{
	struct peer *p = e->user;

	assert_true(p->fin && !p->flushed);
	p->flushed = true;
	assert_int_equal(p->told, p->given);
	if (!reached(p, FLUSHED))
		check_over(p);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct peer *p = e->user;

	assert_false(p->dead);
	p->e = NULL;
	p->dead = true;
	p->why = why;
	snprintf(p->detail, sizeof(p->detail), "%s", detail ? detail : "");
}

static const struct end_events peer_events = {
	.opened = on_opened,
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

static void peer_read(struct peer *p, size_t max)
{
	p->max = max;
	end_read(p->e, max);
}

/* The pair. */

static void start_peer(struct peer *p, struct end *conn,
		       struct tls_context *ctx, const char *host)
{
	conn_bulk(conn, 0);
	p->started = true;
	p->e = tls_open(&p->pair->w, ctx, tap_on(&p->tap, conn), host,
			&peer_events, p);
	assert_non_null(p->e);
	if (p->max)
		end_read(p->e, p->max);
}

static void on_accept(void *ctx, struct end *e)
{
	struct pair *pair = ctx;

	start_peer(&pair->server, e, pair->server_ctx, NULL);
}

static void on_connected(struct end *e, const char *bound)
{
	struct pair *pair = e->user;

	(void)bound;
	if (!pair->raw) {
		start_peer(&pair->client, e, pair->client_ctx, pair->host);
		return;
	}
	pair->client.started = true;
	pair->client.e = tap_on(&pair->client.tap, e);
	end_use(pair->client.e, &peer_events, &pair->client);
}

static void on_refused(struct end *e, enum reason why, const char *detail)
{
	(void)e;
	(void)why;
	fail_msg("cannot connect: %s", detail);
}

static const struct end_events dial_events = {
	.opened = on_connected,
	.dead = on_refused,
};

static void on_tick(uv_timer_t *t)
{
	(void)t; /* the loop turns, so that until() can look */
}

/* Turn the loop until cond holds; it has to. */
#define until(p, cond)                                                         \
	do {                                                                   \
		uint64_t begin_ = uv_hrtime();                                 \
		while (!(cond)) {                                              \
			uv_run(&(p)->w.loop, UV_RUN_ONCE);                     \
			if (uv_hrtime() - begin_ > LIMIT_MS * 1000000ull)      \
				fail_msg("in %d ms not: %s", LIMIT_MS, #cond); \
		}                                                              \
	} while (0)

static void turn(struct pair *p, int n)
{
	while (n--)
		uv_run(&p->w.loop, UV_RUN_ONCE);
}

static const char *file(const char *name)
{
	static char path[4][sizeof(dir) + 32];
	static int i;
	char *out = path[i++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	return out;
}

static struct tls_context *client_context(const char *ca, bool insecure)
{
	struct tls_config config = {.ca = ca, .insecure = insecure};
	const char *error;
	struct tls_context *ctx = tls_client_context(&config, &error);

	if (!ctx)
		fail_msg("%s", error);
	return ctx;
}

static struct tls_context *server_context(const char *name)
{
	char cert[32], key[32];
	struct tls_config config = {.cert = NULL};
	const char *error;
	struct tls_context *ctx;

	snprintf(cert, sizeof(cert), "%s.pem", name);
	snprintf(key, sizeof(key), "%s.key", name);
	config.cert = file(cert);
	config.key = file(key);
	ctx = tls_server_context(&config, &error);
	if (!ctx)
		fail_msg("%s", error);
	return ctx;
}

/* A worker and a listener; client and server read without a limit. */
static struct pair *pair_new(const char *cert)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct listen_spec spec = {
		.at.host = "127.0.0.1", .on = on_accept, .ctx = p};
	const char *error;

	assert_non_null(p);
	assert_int_equal(worker_init(&p->w, MEMORY), 0);
	uv_timer_init(&p->w.loop, &p->tick);
	uv_timer_start(&p->tick, on_tick, 5, 5);
	p->listener = listen_open(&p->w, &spec, &error);
	assert_non_null(p->listener);
	p->server_ctx = server_context(cert);
	p->client_ctx = client_context(file("ca.pem"), false);
	p->host = "localhost";
	p->client.pair = p->server.pair = p;
	p->client.max = p->server.max = BUF_MAX;
	return p;
}

static void pair_dial(struct pair *p)
{
	struct sockaddr_in sa;
	const char *port = strrchr(listen_name(p->listener), ':') + 1;
	int err;

	uv_ip4_addr("127.0.0.1", atoi(port), &sa);
	assert_non_null(conn_dial(&p->w, (struct sockaddr *)&sa, &dial_events,
				  p, &err));
}

static void pair_connect(struct pair *p)
{
	pair_dial(p);
	until(p, p->client.started && p->server.started);
}

/* Drop what is left; every socket must be closed soon. */
static void pair_disconnect(struct pair *p)
{
	peer_drop(&p->client, REASON_DONE);
	peer_drop(&p->server, REASON_DONE);
	until(p, p->w.conns == 0);
	memset(&p->client, 0, sizeof(p->client));
	memset(&p->server, 0, sizeof(p->server));
	p->client.pair = p->server.pair = p;
	p->client.max = p->server.max = BUF_MAX;
}

static void pair_free(struct pair *p)
{
	pair_disconnect(p);
	listen_drop(p->listener);
	uv_close((uv_handle_t *)&p->tick, NULL);
	assert_int_equal(worker_done(&p->w), 0);
	tls_context_free(p->client_ctx);
	tls_context_free(p->server_ctx);
	free(p);
}

/* The tests. */

static void much_arrives_whole_both_ways_at_once(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.to_send = 9000001;
	p->server.to_send = 7000003;
	pair_connect(p);
	until(p, p->w.conns == 0);
	assert_false(p->client.dead || p->server.dead);
	assert_int_equal(p->client.got, 7000003);
	assert_int_equal(p->server.got, 9000001);
	assert_int_equal(p->client.told, 9000001);
	assert_int_equal(p->server.told, 7000003);
	pair_free(p);
}

static void the_suite_has_forward_secrecy(void **state)
{
	struct pair *p = pair_new("good");
	const char *suite;

	(void)state;
	p->client.hold = p->server.hold = true;
	pair_connect(p);
	until(p, p->client.opened && p->server.opened);
	suite = tls_describe(p->client.e);
	assert_string_equal(suite, tls_describe(p->server.e));
	assert_true(strncmp(suite, "TLS-ECDHE-ECDSA-", 16) == 0 ||
		    strncmp(suite, "TLS1-3-", 7) == 0);
	pair_free(p);
}

static void after_its_fin_a_side_still_receives(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.to_send = 5;
	p->server.to_send = 3000000;
	p->server.hold = true;
	pair_connect(p);
	until(p, p->client.flushed && p->server.eof);
	assert_int_equal(p->server.got, 5);
	p->server.hold = false;
	send_more(&p->server);
	until(p, p->w.conns == 0);
	assert_int_equal(p->client.got, 3000000);
	assert_true(p->client.eof && !p->client.dead);
	pair_free(p);
}

static void what_is_sent_before_the_handshake_arrives_after_it(void **state)
{
	struct pair *p = pair_new("good");
	struct peer *c = &p->client;

	(void)state;
	c->to_send = 3 * CHUNK;
	pair_dial(p);
	until(p, c->started); /* a turn later, it may be open */
	if (c->opened)
		fail_msg("the handshake was too fast for this test");
	send_chunk(c);
	assert_int_equal(c->room, 0);
	until(p, c->ready);
	until(p, p->w.conns == 0);
	assert_int_equal(p->server.got, 3 * CHUNK);
	pair_disconnect(p);

	c->to_send = CHUNK;
	pair_connect(p);
	send_chunk(c);
	c->fin = true;
	end_fin(c->e);
	until(p, p->w.conns == 0);
	assert_int_equal(p->server.got, CHUNK);
	assert_true(p->server.eof && c->flushed && !c->dead);
	pair_free(p);
}

static void an_end_without_close_notify_is_a_reset(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.hold = p->server.hold = true;
	p->client.to_send = 100000;
	pair_connect(p);
	until(p, p->server.got == 100000);
	tap_cut(&p->client.tap);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_RESET);
	assert_string_equal(p->server.detail, "the TLS connection was cut");
	assert_false(p->server.eof);
	until(p, p->client.dead);
	assert_int_equal(p->client.why, REASON_RESET);
	pair_free(p);
}

static void a_handshake_that_is_cut_is_a_reset(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->raw = true;
	pair_connect(p);
	tap_cut(&p->client.tap);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_RESET);
	pair_disconnect(p);

	pair_connect(p);
	peer_drop(&p->client, REASON_DONE);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_RESET);
	pair_free(p);
}

static void a_handshake_has_a_deadline(void **state)
{
	struct pair *p;

	(void)state;
	setenv("WSP_TEST_SPEED", "100", 1);
	p = pair_new("good");
	unsetenv("WSP_TEST_SPEED");
	p->raw = true;
	pair_connect(p);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_TIMED_OUT);
	pair_free(p);
}

static void what_is_not_tls_is_refused(void **state)
{
	struct pair *p = pair_new("good");
	struct bufq q;

	(void)state;
	p->raw = true;
	pair_connect(p);
	bufq_init(&q);
	bufq_put(&q, buf_copy(&p->w.pool, "GET / HTTP/1.1\r\n\r\n", 18));
	end_send(p->client.tap.lower, &q);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_PROTOCOL);
	assert_true(p->server.detail[0]);
	pair_free(p);
}

static void certificates_are_verified(void **state)
{
	static const struct {
		const char *cert, *ca, *host;
		const char *text; /* NULL: accepted */
	} t[] = {
		{"good", "ca.pem", "localhost", NULL},
		{"good", "ca.pem", "LOCALHOST", NULL},
		{"good", "ca.pem", "127.0.0.1", NULL},
		{"good", "ca.pem", "::1", NULL},
		{"good", "ca.pem", "127.0.0.2", "for another name"},
		{"good", "ca.pem", "::2", "for another name"},
		{"good", "ca.pem", "local", "for another name"},
		{"name", "ca.pem", "localhost", "for another name"},
		{"name", "ca.pem", "127.0.0.1", "for another name"},
		{"name", "ca.pem", "a.wild.example", NULL},
		{"name", "ca.pem", "a.b.wild.example", "for another name"},
		{"expired", "ca.pem", "localhost", "has expired"},
		{"good", "self.pem", "localhost", "not signed by a trusted"},
		{"self", "ca.pem", "localhost", "not signed by a trusted"},
		{"self", "self.pem", "localhost", NULL},
		{"self", NULL, "localhost", NULL}, /* insecure */
		{"expired", NULL, "elsewhere.example", NULL},
		{"name", NULL, "127.0.0.1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct pair *p = pair_new(t[i].cert);
		struct peer *c = &p->client;

		tls_context_free(p->client_ctx);
		p->client_ctx = client_context(t[i].ca ? file(t[i].ca) : NULL,
					       !t[i].ca);
		p->host = t[i].host;
		c->hold = p->server.hold = true;
		pair_connect(p);
		until(p, c->opened || c->dead);
		if (c->opened != !t[i].text)
			fail_msg("%s, %s: %s", t[i].cert, t[i].host, c->detail);
		if (t[i].text) {
			assert_int_equal(c->why, REASON_TLS);
			assert_non_null(strstr(c->detail, t[i].text));
			until(p, p->server.dead);
		}
		pair_free(p);
	}
}

/* Bytes that the server has sent for its part of a handshake. */
static size_t handshake_bytes(struct pair *p, const char *host)
{
	size_t n;

	p->host = host;
	p->server.to_send = 1; /* TLS 1.3 gives tickets before data */
	pair_connect(p);
	until(p, p->w.conns == 0);
	assert_int_equal(p->client.got, 1);
	n = p->server.head;
	pair_disconnect(p);
	return n;
}

static void the_next_session_with_a_host_resumes(void **state)
{
	struct pair *p = pair_new("good");
	size_t full = handshake_bytes(p, "localhost");

	(void)state;
	assert_true(full > FULL);
	assert_true(handshake_bytes(p, "localhost") < full - FULL / 2);
	assert_true(handshake_bytes(p, "localhost") < full - FULL / 2);
	/* what was verified for one name is not for another */
	assert_true(handshake_bytes(p, "127.0.0.1") > full - FULL / 2);
	pair_free(p);
}

static void a_pause_stops_delivery_and_the_sender(void **state)
{
	struct pair *p = pair_new("good");
	size_t got, given;

	(void)state;
	p->client.to_send = 30000000;
	pair_connect(p);
	until(p, p->server.got > 100000);
	peer_read(&p->server, 0);
	turn(p, 20);
	got = p->server.got;
	given = p->client.given;
	turn(p, 20);
	assert_int_equal(p->server.got, got);
	assert_int_equal(p->client.given, given);
	assert_true(given < 30000000);
	assert_in_range(p->w.pool.inuse, 1, MOST);
	peer_read(&p->server, BUF_MAX);
	until(p, p->w.conns == 0);
	assert_int_equal(p->server.got, 30000000);
	pair_free(p);
}

static void a_slow_reader_costs_little_memory(void **state)
{
	struct pair *p = pair_new("good");
	size_t most = 0;

	(void)state;
	p->client.to_send = 12000000;
	p->server.max = 3000;
	pair_connect(p);
	while (p->server.got < 1000000) {
		turn(p, 1);
		if (p->w.pool.inuse > most)
			most = p->w.pool.inuse;
	}
	assert_in_range(most, 1, MOST);
	peer_read(&p->server, BUF_MAX);
	until(p, p->w.conns == 0);
	assert_int_equal(p->server.got, 12000000);
	pair_free(p);
}

static void an_idle_session_holds_no_bufs(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.hold = p->server.hold = true;
	p->client.to_send = 1000000;
	pair_connect(p);
	until(p, p->server.got == 1000000 && p->client.told == 1000000);
	turn(p, 3);
	assert_int_equal(p->w.pool.inuse, 0);
	pair_free(p);
}

static void close_notify_is_the_end_even_if_the_socket_stays(void **state)
{
	struct pair *p;

	(void)state;
	setenv("WSP_TEST_SPEED", "4", 1);
	p = pair_new("good");
	unsetenv("WSP_TEST_SPEED");
	p->client.to_send = 10;
	p->client.tap.hold_fin = true;
	p->server.to_send = 2000000;
	p->server.hold = true;
	pair_connect(p);
	until(p, p->server.eof);
	p->server.hold = false;
	send_more(&p->server);
	/* dropped at once, it must not cut off what is on its way */
	until(p, !p->server.e && p->client.got == 2000000 && p->client.eof);
	assert_false(p->server.dead || p->client.dead);
	/* and does not wait for ever */
	until(p, !p->server.tap.lower);
	pair_free(p);
}

static void a_bad_record_ends_the_session(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.hold = p->server.hold = true;
	pair_connect(p);
	until(p, p->server.opened && p->client.opened);
	p->server.tap.damage = true;
	p->client.to_send = 1;
	send_chunk(&p->client);
	until(p, p->server.dead && p->client.dead);
	assert_int_equal(p->server.why, REASON_PROTOCOL);
	assert_int_equal(p->server.got, 0);
	pair_free(p);
}

/* mbedTLS wants to send an alert, but nothing may follow a fin(). */
static void a_bad_record_behind_our_fin_ends_the_session(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	p->client.hold = true;
	pair_connect(p);
	until(p, p->server.flushed && p->client.eof);
	p->server.tap.damage = true;
	p->client.to_send = 1;
	send_chunk(&p->client);
	until(p, p->server.dead);
	assert_int_equal(p->server.why, REASON_PROTOCOL);
	pair_free(p);
}

static void a_session_may_be_dropped_in_every_event(void **state)
{
	(void)state;
	for (int at = OPENED; at < EVENTS; at++) {
		for (int side = 0; side < 2; side++) {
			struct pair *p = pair_new("good");
			struct peer *me = side ? &p->client : &p->server;

			me->drop_at = (enum event)at;
			p->client.to_send = p->server.to_send = 3000000;
			pair_connect(p);
			until(p, p->w.conns == 0);
			assert_false(me->dead);
			pair_free(p);
		}
	}
}

static void a_session_may_be_dropped_at_any_time(void **state)
{
	(void)state;
	for (int n = 0; n < 40; n++) {
		struct pair *p = pair_new("good");

		p->client.to_send = p->server.to_send = 500000;
		pair_connect(p);
		turn(p, n / 2);
		peer_drop(n % 2 ? &p->client : &p->server, REASON_LIMIT);
		until(p, p->w.conns == 0);
		pair_free(p);
	}
}

static void bad_files_are_named(void **state)
{
	static const struct {
		bool server;
		const char *ca, *cert, *key, *client_ca, *text;
	} t[] = {
		{false, "none.pem", NULL, NULL, NULL, "none.pem"},
		{false, "good.key", NULL, NULL, NULL, "good.key"},
		{false, "ca.pem", "none.pem", "good.key", NULL, "none.pem"},
		{false, "ca.pem", "good.pem", "name.key", NULL, "name.key"},
		{true, NULL, "none.pem", "good.key", NULL, "none.pem"},
		{true, NULL, "good.pem", "none.key", NULL, "none.key"},
		{true, NULL, "good.pem", "name.key", NULL, "name.key"},
		{true, NULL, "good.pem", "good.key", "none.pem",
		 "--tls-client-ca"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char ca[sizeof(dir) + 32];
		struct tls_config config = {
			.cert = t[i].cert ? file(t[i].cert) : NULL,
			.key = t[i].key ? file(t[i].key) : NULL,
			.client_ca =
				t[i].client_ca ? file(t[i].client_ca) : NULL,
		};
		const char *error = NULL;

		snprintf(ca, sizeof(ca), "%s/%s", dir, t[i].ca ? t[i].ca : "");
		if (t[i].ca)
			config.ca = ca;
		assert_null(t[i].server ? tls_server_context(&config, &error)
					: tls_client_context(&config, &error));
		assert_non_null(strstr(error, t[i].text));
	}
	tls_context_free(NULL);
}

static void the_environment_names_trusted_certificates(void **state)
{
	struct pair *p = pair_new("good");

	(void)state;
	tls_context_free(p->client_ctx);
	setenv("SSL_CERT_FILE", file("ca.pem"), 1);
	p->client_ctx = client_context(NULL, false);
	unsetenv("SSL_CERT_FILE");
	pair_connect(p);
	until(p, p->w.conns == 0);
	assert_true(p->client.opened && !p->client.dead);
	pair_free(p);
}

/* Certificates: those of ca.pem, and one that signs itself. */
static const char make_certs[] =
	"cd '%s' && exec >log 2>&1 && set -e\n"
	"key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
	"openssl req -x509 $key -keyout ca.key -out ca.pem -days 30"
	" -subj '/CN=test CA'\n"
	"openssl req -x509 $key -keyout self.key -out self.pem -days 30"
	" -subj /CN=localhost -addext subjectAltName=DNS:localhost\n"
	"sign() {\n"
	" echo subjectAltName=$2 >ext\n"
	" openssl req $key -keyout $1.key -out csr -subj /CN=$1\n"
	" openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial"
	"  -extfile ext -out $1.pem -days $3\n"
	"}\n"
	"sign good DNS:localhost,IP:127.0.0.1,IP:::1 20\n"
	"sign name 'DNS:other.example,DNS:*.wild.example' 20\n"
	"sign expired DNS:localhost 0\n"
	"sleep 1.5\n";

static int setup(void **state)
{
	char script[sizeof(make_certs) + sizeof(dir)];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof(script), make_certs, dir);
	return system(script);
}

static int teardown(void **state)
{
	char command[sizeof(dir) + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	return system(command);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(much_arrives_whole_both_ways_at_once),
		TEST(the_suite_has_forward_secrecy),
		TEST(after_its_fin_a_side_still_receives),
		TEST(what_is_sent_before_the_handshake_arrives_after_it),
		TEST(an_end_without_close_notify_is_a_reset),
		TEST(a_handshake_that_is_cut_is_a_reset),
		TEST(a_handshake_has_a_deadline),
		TEST(what_is_not_tls_is_refused),
		TEST(certificates_are_verified),
		TEST(the_next_session_with_a_host_resumes),
		TEST(a_pause_stops_delivery_and_the_sender),
		TEST(a_slow_reader_costs_little_memory),
		TEST(an_idle_session_holds_no_bufs),
		TEST(close_notify_is_the_end_even_if_the_socket_stays),
		TEST(a_bad_record_ends_the_session),
		TEST(a_bad_record_behind_our_fin_ends_the_session),
		TEST(a_session_may_be_dropped_in_every_event),
		TEST(a_session_may_be_dropped_at_any_time),
		TEST(bad_files_are_named),
		TEST(the_environment_names_trusted_certificates),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

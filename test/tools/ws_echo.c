/* SPDX-License-Identifier: MIT */
/*
 * ws_echo --listen ADDR:PORT | --connect URL
 *
 * Echoes WebSocket messages on the code that wsp itself uses for handshake and
 * framing (core/websocket, proto/ws), in either role, so that a WebSocket test
 * suite can be pointed at it. Any path and query, no token, messages of up to
 * 16 MiB; text comes back as text. The client exits 0 when its connection has
 * ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "proto/addr.h"
#include "proto/container.h"

#include "core/conn.h"
#include "core/dial.h"
#include "core/listen.h"
#include "core/log.h"
#include "core/websocket.h"

#define MESSAGE_MAX (16 * 1024 * 1024)
#define QUEUE_MAX   (4 * MESSAGE_MAX) /* unsent: the peer has to read */
#define MEMORY      (64 * 1024 * 1024)

struct echo {
	struct worker worker;
	struct listener *listener;
	struct session *sessions;
	struct server_url url;
	char host[ADDR_TEXT_MAX];
	bool client;
	int code;
};

struct session {
	struct session *next, *prev;
	struct echo *echo;
	struct websocket *ws;
	struct bufq arriving; /* frames of the message that arrives */
	struct bufq ready;    /* frames to be sent */
	bool paused;
};

/* Frames of a message are kept in bufs; the first byte of the header room says
 * which kind of frame each will be. */

static void set_kind(struct buf *b, enum ws_frame kind)
{
	b->data[0] = (uint8_t)kind;
}

static enum ws_frame kind_of(const struct buf *b)
{
	return (enum ws_frame)b->data[0];
}

static void session_end(struct session *s)
{
	struct echo *e = s->echo;

	DL_DELETE(e->sessions, s);
	bufq_clear(&s->arriving);
	bufq_clear(&s->ready);
	free(s);
	if (e->client)
		worker_stop(&e->worker);
}

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	(void)ctx;
	(void)req;
	return REASON_DONE;
}

static void on_opened(void *ctx, const struct upgrade_wsp *peer)
{
	(void)ctx;
	(void)peer;
}

/* The buf that takes the next bytes of the message. */
static struct buf *space(struct session *s, bool text)
{
	struct buf *b = s->arriving.head, *last = NULL;

	for (; b; b = b->next)
		last = b;
	if (last && buf_tailroom(last))
		return last;
	b = buf_new(&s->echo->worker.pool, last ? BUF_MAX : 4096);
	if (!b)
		abort();
	if (last)
		set_kind(b, WS_NEXT);
	else
		set_kind(b, text ? WS_TEXT_FIRST : WS_BINARY_FIRST);
	bufq_put(&s->arriving, b);
	return b;
}

/* The last frame ends the message; the only one is the message. */
static void finish(struct session *s)
{
	struct buf *last = s->arriving.head;

	while (last->next)
		last = last->next;
	set_kind(last, kind_of(last) | WS_LAST);
	bufq_move(&s->ready, &s->arriving);
}

static void on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct session *s = ctx;

	do {
		struct buf *b = space(s, text);
		size_t k = buf_tailroom(b) < n ? buf_tailroom(b) : n;

		buf_append(b, p, (uint32_t)k);
		s->arriving.bytes += k;
		p += k;
		n -= k;
	} while (n);
	if (last)
		finish(s);
}

static void brake(struct session *s)
{
	bool full = s->ready.bytes > QUEUE_MAX;

	if (full != s->paused)
		websocket_pause(s->ws, full);
	s->paused = full;
}

static void on_turn(void *ctx)
{
	brake(ctx);
}

static struct buf *on_pull(void *ctx, enum ws_frame *kind)
{
	struct session *s = ctx;
	struct buf *b = bufq_get(&s->ready);

	if (b)
		*kind = kind_of(b);
	if (s->paused)
		brake(s);
	return b;
}

static void on_closed(void *ctx, enum reason why, const char *detail)
{
	struct session *s = ctx;

	log_info(NULL, "closed: %s%s%s", reason_text(why), detail ? ": " : "",
		 detail ? detail : "");
	session_end(s);
}

static const struct websocket_ops websocket_ops = {
	.check = on_check,
	.opened = on_opened,
	.piece = on_piece,
	.turn = on_turn,
	.pull = on_pull,
	.closed = on_closed,
};

static void session_open(struct echo *e, struct end *conn)
{
	struct websocket_config config = {
		.ws.role = e->client ? WS_CLIENT : WS_SERVER,
		.ws.max_message = MESSAGE_MAX,
		.ws.max_fragments = UINT32_MAX,
		.ask = {.host = e->host, .path = e->url.path},
	};
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->echo = e;
	bufq_init(&s->arriving);
	bufq_init(&s->ready);
	DL_APPEND(e->sessions, s);
	conn_bulk(conn, 60000);
	s->ws = websocket_open(&e->worker, conn, &config, &websocket_ops, s);
	if (!s->ws)
		session_end(s);
}

static void on_accept(void *ctx, struct end *conn)
{
	session_open(ctx, conn);
}

static void on_dialled(void *ctx, struct end *conn, enum reason why)
{
	struct echo *e = ctx;

	if (conn) {
		session_open(e, conn);
		return;
	}
	fprintf(stderr, "ws_echo: %s\n", reason_text(why));
	e->code = 1;
	worker_stop(&e->worker);
}

static const struct dial_ops dial_ops = {.done = on_dialled};

static void on_signal(void *ctx, int signum)
{
	struct echo *e = ctx;

	(void)signum;
	if (e->listener)
		listen_drop(e->listener);
	e->listener = NULL;
	for (struct session *s = e->sessions, *next; s; s = next) {
		next = s->next;
		websocket_close(s->ws, REASON_STOPPING);
		session_end(s);
	}
	worker_stop(&e->worker);
}

static int start_server(struct echo *e, const char *text)
{
	struct listen_spec spec = {
		.at.host = "127.0.0.1", .on = on_accept, .ctx = e};
	const char *error;

	if (addr_parse_listen(text, &spec.at) != ADDR_OK)
		return 2;
	e->listener = listen_open(&e->worker, &spec, &error);
	if (!e->listener) {
		fprintf(stderr, "ws_echo: %s: %s\n", text, error);
		return 3;
	}
	printf("listening ws %s\n", listen_name(e->listener));
	fflush(stdout);
	return 0;
}

static int start_client(struct echo *e, const char *text)
{
	if (server_url_parse(text, &e->url) != ADDR_OK || e->url.tls)
		return 2;
	e->client = true;
	addr_format(&e->url.addr, e->host);
	return dial_start(&e->worker, e->url.addr.host, e->url.addr.port, 10000,
			  &dial_ops, e)
		       ? 0
		       : 1;
}

int main(int argc, char **argv)
{
	struct echo e = {.listener = NULL};
	int code = 2;

	if (argc != 3 || worker_init(&e.worker, MEMORY))
		goto usage;
	worker_signals(&e.worker, on_signal, &e);
	if (strcmp(argv[1], "--listen") == 0)
		code = start_server(&e, argv[2]);
	else if (strcmp(argv[1], "--connect") == 0)
		code = start_client(&e, argv[2]);
	if (code)
		worker_stop(&e.worker);
	worker_run(&e.worker);
	if (worker_done(&e.worker))
		return 1;
	if (code != 2)
		return code ? code : e.code;
usage:
	fprintf(stderr, "usage: ws_echo --listen ADDR:PORT | --connect "
			"ws://HOST:PORT/PATH\n");
	return 2;
}

/* SPDX-License-Identifier: MIT */
#include "core/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "core/intake.h"
#include "core/pour.h"
#include "core/socket.h"
#include "proto/container.h"

#define WATCH_MS    15000 /* between looks at a half-closed socket */
#define DESERTED_MS 60000 /* the same, of a Unix socket */
#define UNHEARD_MS  2000  /* for a last word that has left this process */
#define WRITE_BUFS  4     /* what a uv_write_t holds without malloc */

enum conn_state { OPENING, OPEN, CLOSING };

struct conn {
	struct end end;
	struct worker *w;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} h;
	uv_connect_t connect;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct flusher flusher;
	struct deadline watch; /* behind eof */
	enum conn_state state;
	bool reading;  /* uv_read_start() is in force */
	bool loopback; /* the peer is on this machine */
	bool light;    /* of a tunnel: small streams are alive */
	bool writing;  /* write is in use, for the bufs in sent */
	bool full;     /* send() has returned 0: ready() is due */
	bool empty;    /* aside_now() has: when nothing waits any more */
	bool fin;      /* fin() was called */
	bool fin_sent; /* and the shutdown is done */
	bool fin_told; /* and flushed() was called */
	bool eof;      /* eof() was called */
	int failed;    /* a libuv code to be told to the user */
	struct intake in;
	size_t max;         /* what the user wants of one read */
	uint64_t stop_turn; /* in which max became 0 */
	size_t gone;        /* bytes written, not yet told by sent() */
	size_t owed;        /* bytes read that have not left the process */
	struct bufq queue;  /* waiting for write */
	struct bufq sent;   /* owned by write */
	char peer[SOCKET_NAME];
	char bound[SOCKET_NAME];
};

static struct conn *conn_of(const struct end *e)
{
	return container_of(e, struct conn, end);
}

static bool is_tcp(const struct conn *c)
{
	return c->h.handle.type == UV_TCP;
}

/* Life and death. */

static void on_close(uv_handle_t *h)
{
	struct conn *c = container_of(h, struct conn, h);

	c->w->conns--;
	flusher_clear(&c->flusher);
	deadline_clear(&c->watch);
	bufq_clear(&c->sent);
	bufq_clear(&c->queue);
	intake_done(&c->in);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (c->state == CLOSING)
		return;
	c->state = CLOSING;
	deadline_clear(&c->watch);
	uv_close(&c->h.handle, on_close);
}

static void conn_drop(struct end *e, enum reason why)
{
	struct conn *c = conn_of(e);

	/* TCP has one way to say why: a reset. Behind both ends, or if all was
	 * sent and the user wants no more, the kernel goes on with what it
	 * holds, which may be megabytes, and then the end. */
	if (c->state == OPEN && c->fin_sent && is_tcp(c) &&
	    (c->eof || why == REASON_DONE))
		socket_linger(&c->h.tcp, false);
	conn_close(c);
}

/* Tell the user that the conn is gone. The last thing a callback does. */
static void conn_fail(struct conn *c, int err)
{
	conn_close(c);
	c->end.events->dead(&c->end, socket_reason(err), uv_strerror(err));
}

/* A tunnel's socket holds little while small streams are alive: they would wait
 * behind it. */
static void adapt(struct conn *c)
{
	bool light = worker_is_light(c->w);

	if (c->in.bulk && c->light != light && is_tcp(c))
		socket_shallow(&c->h.tcp, light);
	c->light = c->in.bulk && light;
}

/* Reading. */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct conn *c = container_of(h, struct conn, h);

	(void)hint;
	*out = uv_buf_init(NULL, 0);
	c->in.splicing = false;
	if (!c->max || !intake_may(&c->in))
		return;
	c->in.splicing = intake_aside(&c->in);
	if (!c->in.splicing)
		*out = intake_memory(&c->in, c->max);
	else if (c->in.aside)
		c->end.events->near(&c->end);
}

static void deliver(struct conn *c, struct buf *b)
{
	struct bufq q;

	bufq_init(&q);
	bufq_put(&q, b);
	c->owed += b->len;
	c->end.events->data(&c->end, &q);
}

static void read_aside(struct conn *c)
{
	struct buf b;
	ssize_t n = intake_splice(&c->in, &c->h.handle, c->max, &b);

	if (n > 0)
		deliver(c, &b);
	else if (n < 0)
		conn_fail(c, (int)n);
	splice_clear(&c->w->splice);
}

/* libuv was given no memory: the user wants nothing, or not in this turn, or
 * there is none. Only a pause that outlasts a turn is worth system calls. */
static void read_nothing(struct conn *c)
{
	if (c->in.splicing && c->max) {
		read_aside(c);
		return;
	}
	if (c->max && intake_may(&c->in)) {
		conn_fail(c, UV_ENOMEM); /* it would be asked again at once */
		return;
	}
	if (c->max || c->stop_turn == c->w->turn || !c->reading)
		return;
	uv_read_stop(&c->h.stream);
	c->reading = false;
}

static void on_watch(struct deadline *d);

/* A Unix peer that has closed all gets as long as TCP would give it: what it
 * has sent may still be on its way. */
static void watch(struct conn *c)
{
	unsigned int ms = c->failed && !c->owed    ? UNHEARD_MS
			  : is_tcp(c) || c->failed ? WATCH_MS
						   : DESERTED_MS;

	deadline_set(c->w, &c->watch, ms, on_watch);
}

/* Behind an end nothing is read, and a reset would not be seen: the other
 * direction could wait for ever. */
static void on_watch(struct deadline *d)
{
	struct conn *c = container_of(d, struct conn, watch);

	if (c->state != OPEN || c->fin_sent)
		return;
	if (c->failed || socket_is_lost(&c->h.handle, c->fin))
		conn_fail(c, UV_ECONNRESET);
	else
		watch(c);
}

/* Linux says EPIPE for a reset that came behind the peer's FIN: what it has
 * sent is complete, and its end is told first. It did not want to hear the
 * rest, as when a server refuses a long request. A Unix socket says EPIPE to
 * every write once its peer has gone, and keeps the reset for who asks. */
static void read_eof(struct conn *c)
{
	int err = c->failed;

	if (!err || (err == UV_EPIPE && !is_tcp(c)))
		err = socket_reset(&c->h.handle, c->fin);
	if (err && err != UV_EPIPE) {
		conn_fail(c, err);
		return;
	}
	uv_read_stop(&c->h.stream);
	c->reading = false;
	c->eof = true;
	watch(c);
	c->end.events->eof(&c->end);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = container_of(s, struct conn, h);
	struct buf lent;

	if (c->state == CLOSING)
		return;
	if (n > 0) {
		deliver(c, intake_take(&c->in, (size_t)n, buf->len, &lent));
		return;
	}
	intake_done(&c->in);
	if (n == UV_ENOBUFS) {
		read_nothing(c);
	} else if (n == UV_EOF) {
		read_eof(c);
	} else if (n < 0) {
		conn_fail(c, (int)n);
	}
}

static void start_reading(struct conn *c)
{
	if (c->reading || c->eof || c->state != OPEN || !c->max)
		return;
	uv_read_start(&c->h.stream, on_alloc, on_read);
	c->reading = true;
}

static void conn_read(struct end *e, size_t max)
{
	struct conn *c = conn_of(e);

	if (c->max && !max)
		c->stop_turn = c->w->turn;
	c->max = max;
	start_reading(c);
}

/* The socket's own window is the brake. */
static void conn_left(struct end *e, size_t n)
{
	struct conn *c = conn_of(e);

	c->owed -= n < c->owed ? n : c->owed;
	if (c->failed && c->eof && !c->owed)
		watch(c);
}

/* Writing. */

/* Write from the front of q what the socket takes now. */
static void write_now(struct conn *c, struct bufq *q)
{
	c->failed = pour(&c->h.stream, q, &c->gone);
}

static void on_shutdown(uv_shutdown_t *req, int err)
{
	struct conn *c = container_of(req, struct conn, shutdown);

	if (c->state == CLOSING)
		return;
	if (err) /* ENOTCONN: the peer's reset has come first */
		c->failed = err == UV_ENOTCONN ? UV_ECONNRESET : err;
	else
		c->fin_sent = true;
	worker_flush(c->w, &c->flusher);
}

static void on_write(uv_write_t *req, int err);

/* The queue is not empty and the socket is full: let libuv wait for it. */
static void write_later(struct conn *c)
{
	uv_buf_t v[WRITE_BUFS];
	unsigned int n = pour_gather(&c->queue, v, WRITE_BUFS);

	for (unsigned int i = 0; i < n; i++)
		bufq_put(&c->sent, bufq_get(&c->queue));
	c->writing = true;
	c->failed = uv_write(&c->write, &c->h.stream, v, n, on_write);
}

/* Move everything on that can be moved. */
static void conn_pump(struct conn *c)
{
	if (c->state != OPEN || c->writing || c->failed)
		return;
	write_now(c, &c->queue);
	if (c->failed)
		return;
	if (c->queue.head)
		write_later(c);
	else if (c->fin && !c->fin_sent && !c->shutdown.handle)
		c->failed =
			uv_shutdown(&c->shutdown, &c->h.stream, on_shutdown);
}

static void on_write(uv_write_t *req, int err)
{
	struct conn *c = container_of(req, struct conn, write);

	c->gone += c->sent.bytes;
	bufq_clear(&c->sent);
	c->writing = false;
	if (c->state == CLOSING)
		return;
	if (err) /* else no memory in the meantime would be forgotten */
		c->failed = err;
	conn_pump(c);
	worker_flush(c->w, &c->flusher);
}

static size_t room(const struct conn *c)
{
	size_t queued = c->queue.bytes + c->sent.bytes;
	size_t high = worker_ahead(c->w, c->light);

	return queued < high ? high - queued : 0;
}

static bool drained(const struct conn *c)
{
	size_t ahead = worker_ahead(c->w, c->light);

	if (c->empty)
		return !c->writing && !c->queue.head;
	return room(c) >= (ahead < AHEAD_MAX ? 1 : AHEAD_MAX / 2);
}

static size_t conn_send(struct end *e, struct bufq *q)
{
	struct conn *c = conn_of(e);
	struct buf *b;

	assert(!c->fin);
	adapt(c);
	if (c->state == OPEN && !c->writing && !c->queue.head && !c->failed)
		write_now(c, q);
	while ((b = bufq_get(q)))
		if (!bufq_keep(&c->queue, b, &c->w->pool))
			c->failed = UV_ENOMEM;
	if (c->queue.head)
		conn_pump(c);
	worker_flush(c->w, &c->flusher);
	c->full = c->empty || room(c) == 0;
	return room(c);
}

static void conn_fin(struct end *e)
{
	struct conn *c = conn_of(e);

	assert(!c->fin);
	c->fin = true;
	conn_pump(c);
	if (c->failed)
		worker_flush(c->w, &c->flusher);
}

/* At the end of the turn, tell what has happened: one call up at a time, as
 * each may be the end of c. */
static void on_flush(struct flusher *f)
{
	struct conn *c = container_of(f, struct conn, flusher);
	const struct end_events *up = c->end.events;
	size_t gone = c->gone;

	if (c->state == CLOSING || !up)
		return;
	c->gone = 0;
	if (gone || c->full || c->failed || c->fin_sent)
		worker_flush(c->w, f);
	if (gone) {
		up->sent(&c->end, gone);
	} else if (c->failed == UV_EPIPE && (c->eof ? !c->fin : c->reading)) {
		flusher_clear(f); /* it has time to be read, see read_eof() */
		watch(c);
	} else if (c->failed) {
		flusher_clear(f);
		conn_fail(c, c->failed);
	} else if (c->full && drained(c)) {
		c->full = false;
		c->empty = false;
		up->ready(&c->end, room(c));
	} else {
		flusher_clear(f);
		if (c->fin_sent && !c->fin_told) {
			c->fin_told = true;
			up->flushed(&c->end);
		}
	}
}

static bool conn_takes_aside(const struct end *e)
{
	(void)e;
	return true;
}

static bool conn_aside_now(struct end *e)
{
	struct conn *c = conn_of(e);

	if (!c->writing && !c->queue.head)
		return true;
	c->full = c->empty = true;
	return false;
}

static void conn_give_aside(struct end *e)
{
	conn_of(e)->in.aside = true;
}

static void conn_expect(struct end *e, size_t head, uint64_t aside)
{
	conn_of(e)->in.head = head;
	conn_of(e)->in.beside = aside;
}

static const struct end_ops conn_ops = {
	.send = conn_send,
	.fin = conn_fin,
	.read = conn_read,
	.left = conn_left,
	.drop = conn_drop,
	.takes_aside = conn_takes_aside,
	.aside_now = conn_aside_now,
	.give_aside = conn_give_aside,
	.expect = conn_expect,
};

/* Making one. */

static struct conn *conn_new(struct worker *w, unsigned int family)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->w = w;
	if (socket_init(&w->loop, &c->h.handle, family)) {
		free(c);
		return NULL;
	}
	c->end.ops = &conn_ops;
	intake_init(&c->in, w);
	c->flusher.flush = on_flush;
	bufq_init(&c->queue);
	bufq_init(&c->sent);
	w->conns++;
	return c;
}

static void conn_opened(struct conn *c)
{
	uv_os_fd_t fd;

	c->state = OPEN;
	if (!is_tcp(c)) {
		socket_credentials(&c->h.pipe, c->peer);
		return;
	}
	uv_tcp_nodelay(&c->h.tcp, 1);
	c->loopback = socket_peer(&c->h.tcp, c->peer);
	if (c->loopback && uv_fileno(&c->h.handle, &fd) == 0)
		socket_unpace(fd);
	socket_bound(&c->h.tcp, c->bound);
}

static void on_connect(uv_connect_t *req, int err)
{
	struct conn *c = container_of(req, struct conn, connect);

	if (c->state == CLOSING)
		return;
	if (err) {
		conn_fail(c, err);
		return;
	}
	conn_opened(c);
	conn_pump(c);
	start_reading(c);
	worker_flush(c->w, &c->flusher);
	c->end.events->opened(&c->end, c->bound);
}

struct end *conn_dial(struct worker *w, const struct sockaddr *sa,
		      const struct end_events *events, void *user, int *err)
{
	uv_os_fd_t fd;
	struct conn *c;

	*err = UV_EMFILE;
	if (w->conns >= w->max_conns)
		return NULL;
	*err = UV_ENOMEM;
	c = conn_new(w, sa->sa_family);
	if (!c)
		return NULL;
	end_use(&c->end, events, user);
	*err = socket_linger(&c->h.tcp, true);
	if (socket_is_loopback(sa) && uv_fileno(&c->h.handle, &fd) == 0)
		socket_unpace(fd);
	if (!*err)
		*err = uv_tcp_connect(&c->connect, &c->h.tcp, sa, on_connect);
	if (*err) {
		conn_close(c);
		return NULL;
	}
	return &c->end;
}

struct end *conn_adopt(struct worker *w, int fd, bool local, const char **error)
{
	struct conn *c = conn_new(w, local ? AF_UNIX : AF_UNSPEC);
	int err = UV_ENOMEM;

	if (c && w->conns > w->max_conns + CONNS_SPARE)
		err = UV_EMFILE;
	else if (c)
		err = local ? uv_pipe_open(&c->h.pipe, fd)
			    : uv_tcp_open(&c->h.tcp, fd);
	if (!err) {
		conn_opened(c);
		return &c->end;
	}
	*error = uv_strerror(err);
	close(fd);
	if (c)
		conn_close(c);
	return NULL;
}

const char *conn_peer(struct end *e)
{
	return conn_of(e)->peer;
}

const char *conn_bound(struct end *e)
{
	return conn_of(e)->bound;
}

bool conn_path(struct end *e, struct netpath *out)
{
	const struct conn *c = conn_of(e);

	return is_tcp(c) && socket_path(&c->h.tcp, out);
}

void conn_keepalive(struct end *e, unsigned int seconds)
{
	struct conn *c = conn_of(e);

	/* A socket without keepalive works; nothing to do about an error. No
	 * machine can be gone between two sockets of this one. */
	if (is_tcp(c) && !c->loopback)
		uv_tcp_keepalive(&c->h.tcp, seconds > 0, seconds);
}

void conn_bulk(struct end *e, unsigned int ms)
{
	struct conn *c = conn_of(e);

	c->in.bulk = true;
	c->in.hint = PACE_BULK;
	if (is_tcp(c))
		socket_tunnel(&c->h.tcp, ms, c->loopback);
}

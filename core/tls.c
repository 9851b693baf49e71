/* SPDX-License-Identifier: MIT */
#include "core/tls.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ssl.h>

#include "core/oom.h"
#include "core/parting.h"
#include "core/refusal.h"
#include "core/tlspeer.h"
#include "core/tlsuse.h"
#include "proto/buf.h"
#include "proto/container.h"

#define HANDSHAKE_MS 10000
#define RECORD       (16 * 1024)  /* plaintext in one record */
#define OUT_SIZE     (256 * 1024) /* ciphertext in one buf, for bulk */
#define OUT_MEDIUM   (32 * 1024)
#define OUT_SMALL    4096
#define OVERHEAD     64   /* of a record, at most */
#define ALERTS_MAX   4096 /* bytes that a peer makes us answer unasked */

enum state { HANDSHAKE, OPEN };

struct tls {
	struct end end;
	struct worker *w;
	struct tls_context *ctx;
	struct end *lower;
	mbedtls_ssl_context ssl;
	struct tlspeer peer;
	struct tlsuse use;
	enum state state;
	struct flusher flusher;
	struct deadline deadline; /* of the handshake */
	struct bufq in;           /* ciphertext that has come */
	bool dry;                 /* and mbedTLS has found that empty */
	struct bufq out;          /* ciphertext of this call */
	struct buf *last;         /* the last of out */
	size_t expect;            /* bytes that out will take, about */
	struct bufq early;        /* HANDSHAKE: plaintext to be sent */
	size_t max;               /* what the user wants of one read */
	size_t room;              /* what lower takes */
	size_t owed;              /* plaintext taken, not yet told by sent() */
	size_t queued;            /* ciphertext that lower has not sent yet */
	size_t alerts;            /* bytes that reading made us send */
	bool starved;             /* send() has returned 0 in HANDSHAKE */
	bool fin;                 /* fin() was called */
	bool said_goodbye;        /* and lower has been half-closed */
	bool flushed;             /* and flushed() was called */
	bool closed;              /* close_notify has come */
	bool eof;                 /* and eof() was called */
	bool lower_eof;
	int failed; /* an error of mbedTLS */
	char *host; /* of a client */
};

static struct tls *tls_of(const struct end *e)
{
	return container_of(e, struct tls, end);
}

static void tls_free(struct tls *t)
{
	flusher_clear(&t->flusher);
	deadline_clear(&t->deadline);
	mbedtls_ssl_free(&t->ssl);
	bufq_clear(&t->in);
	bufq_clear(&t->out);
	bufq_clear(&t->early);
	free(t->host);
	tls_context_free(t->ctx);
	free(t);
}

/* lower is gone, and so are we. Calls up. */
static void tls_dead(struct tls *t, enum reason why, const char *detail)
{
	/* the user knows us by our address, which must stay until it returns */
	flusher_clear(&t->flusher);
	deadline_clear(&t->deadline);
	t->end.events->dead(&t->end, why, detail);
	tls_free(t);
}

/* The one way to fail. Calls up. */
static void tls_fail(struct tls *t, enum reason why, const char *detail)
{
	end_drop(t->lower, why);
	tls_dead(t, why, detail);
}

/* What mbedTLS reads and writes. */

static int on_recv(void *ctx, unsigned char *p, size_t n)
{
	struct tls *t = ctx;
	struct buf *b = t->in.head;

	t->dry = !b;
	if (!b)
		return MBEDTLS_ERR_SSL_WANT_READ;
	if (n > b->len)
		n = b->len;
	memcpy(p, buf_ptr(b), n);
	bufq_pull(&t->in, n);
	return (int)n;
}

/* A buf of out with room. NULL: no memory. */
static struct buf *out_space(struct tls *t)
{
	size_t size = t->expect;

	if (t->last && buf_tailroom(t->last))
		return t->last;
	if (size > OUT_MEDIUM) /* what is queued must not be mostly empty */
		size = size > OUT_SIZE / 2 ? OUT_SIZE : OUT_MEDIUM;
	t->last = buf_new(&t->w->pool, size > OUT_SMALL ? size : OUT_SMALL);
	if (t->last)
		bufq_put(&t->out, t->last);
	return t->last;
}

static int on_send(void *ctx, const unsigned char *p, size_t n)
{
	struct tls *t = ctx;
	struct buf *b = out_space(t);

	if (!b)
		return MBEDTLS_ERR_SSL_ALLOC_FAILED;
	if (n > buf_tailroom(b))
		n = buf_tailroom(b);
	buf_append(b, p, (uint32_t)n);
	t->out.bytes += n;
	t->expect -= n < t->expect ? n : t->expect;
	return (int)n;
}

/* Hand the ciphertext of this call to lower. Behind our close_notify nothing
 * follows, not even the alert that a peer's bad record calls for. */
static void flush_out(struct tls *t)
{
	t->last = NULL;
	t->expect = 0;
	if (t->said_goodbye) {
		bufq_clear(&t->out);
		return;
	}
	t->queued += t->out.bytes;
	t->room = end_send(t->lower, &t->out);
}

/* mbedTLS has failed, and says why to the peer but in one case (RFC 5246
 * section 7.4.6). Calls up. */
static void tls_broken(struct tls *t)
{
	enum reason why;
	char text[TLSPEER_TEXT];

	why = tlspeer_error(&t->peer, &t->ssl, t->failed, text);
	if (t->failed == MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE)
		mbedtls_ssl_send_alert_message(
			&t->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
			MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
	flush_out(t);
	if (t->state == OPEN || !t->ctx->server || t->lower_eof) {
		tls_fail(t, why, text);
		return;
	}
	/* a reset could overtake the alert, and the client would not know */
	refusal_start(t->w, t->lower, &(struct penalty){0}, "", 0);
	tls_dead(t, why, text);
}

/* Move all of from behind to; what is only lent is copied. */
static void keep(struct tls *t, struct bufq *from, struct bufq *to)
{
	struct buf *b;

	while ((b = bufq_get(from)))
		if (!bufq_keep(to, b, &t->w->pool))
			t->failed = MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

/* Out. */

static void write_plain(struct tls *t, const uint8_t *p, size_t n)
{
	int k;

	while (n && !t->failed) {
		if (tlsuse_is_over(&t->use)) {
			t->failed = MBEDTLS_ERR_SSL_COUNTER_WRAPPING;
			return;
		}
		t->use.out++;
		k = mbedtls_ssl_write(&t->ssl, p, n < RECORD ? n : RECORD);
		if (k < 0) {
			t->failed = k;
			return;
		}
		p += k;
		n -= (size_t)k;
	}
}

static void write_all(struct tls *t, struct bufq *q)
{
	struct buf *b;

	t->owed += q->bytes;
	t->expect = q->bytes + (q->bytes / RECORD + 1) * OVERHEAD;
	while ((b = bufq_get(q))) {
		write_plain(t, buf_ptr(b), b->len);
		buf_free(b);
	}
	flush_out(t);
	if (t->failed)
		worker_flush(t->w, &t->flusher);
}

static size_t tls_send(struct end *e, struct bufq *q)
{
	struct tls *t = tls_of(e);

	assert(!t->fin);
	if (t->state == OPEN && !t->failed) {
		write_all(t, q);
		return t->room;
	}
	keep(t, q, &t->early);
	t->starved = true;
	return 0;
}

static void say_goodbye(struct tls *t)
{
	int err = mbedtls_ssl_close_notify(&t->ssl);

	if (err && !t->failed)
		t->failed = err;
	flush_out(t);
	t->said_goodbye = true;
	end_fin(t->lower);
}

static void tls_fin(struct end *e)
{
	struct tls *t = tls_of(e);

	assert(!t->fin);
	t->fin = true;
	if (t->state == OPEN)
		say_goodbye(t);
}

/* In. */

/* Ask lower for more once all that it gave has been decrypted; not for much
 * more than the user wants, as it would wait here. */
static void read_lower(struct tls *t)
{
	size_t n = t->max > RECORD ? t->max : RECORD;

	end_read(t->lower, t->max && !t->in.head ? n : 0);
}

static void tls_read(struct end *e, size_t max)
{
	struct tls *t = tls_of(e);

	t->max = max < BUF_MAX ? max : BUF_MAX;
	if (t->state == OPEN)
		read_lower(t);
	if (max)
		worker_flush(t->w, &t->flusher);
}

static void tls_left(struct end *e, size_t n)
{
	end_left(tls_of(e)->lower, n);
}

static void tls_drop(struct end *e, enum reason why)
{
	struct tls *t = tls_of(e);

	if (t->eof && t->flushed && !t->lower_eof)
		parting_start(t->w, t->lower);
	else
		end_drop(t->lower, why);
	tls_free(t);
}

static bool tls_worn(const struct end *e)
{
	const struct tls *t = tls_of(e);

	return tlsuse_is_worn(&t->use) || end_worn(t->lower);
}

static const struct end_ops tls_ops = {
	.send = tls_send,
	.fin = tls_fin,
	.read = tls_read,
	.left = tls_left,
	.drop = tls_drop,
	.worn = tls_worn,
};

static void own_input(struct tls *t)
{
	struct bufq kept;

	bufq_init(&kept);
	keep(t, &t->in, &kept);
	bufq_move(&t->in, &kept);
}

/* One result of mbedtls_ssl_read() that is no data. False: nothing more can be
 * read now. mbedTLS says WANT_READ also between two steps of its own. */
static bool read_event(struct tls *t, int k)
{
	switch (k) {
	case TICKET_SHOWN:
		t->peer.heard = true;
		tlsctx_remember(t->ctx, &t->ssl, t->host);
		return true;
	case MBEDTLS_ERR_SSL_WANT_READ:
		return !t->dry;
	case 0: /* an empty record; on_recv() knows no end */
		return true;
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
		t->closed = true;
		return false;
	default:
		t->failed = k;
		return false;
	}
}

/* Decrypt as much as the user wants. Returns the bytes in w->plain. */
static size_t decrypt(struct tls *t)
{
	size_t n = 0;
	int k;

	while (n < t->max && !t->closed && !t->failed) {
		t->dry = false;
		k = mbedtls_ssl_read(&t->ssl, t->w->plain + n, t->max - n);
		if (k >= 0 && !mbedtls_ssl_get_bytes_avail(&t->ssl))
			t->use.in++; /* its last byte has been taken */
		if (tlsuse_is_over(&t->use))
			t->failed = MBEDTLS_ERR_SSL_COUNTER_WRAPPING;
		if (k > 0)
			n += (size_t)k;
		else if (!read_event(t, k))
			break;
	}
	t->peer.heard |= n > 0;
	/* refusals to renegotiate, which the peer may ask for and not read */
	t->alerts += t->out.bytes;
	if (t->alerts > ALERTS_MAX && !t->failed)
		t->failed = MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
	if (t->out.head)
		flush_out(t);
	if (t->closed)
		bufq_clear(&t->in); /* RFC 8446 section 6.1: ignored */
	return n;
}

/* Tell what has become of the input: one event, then again at the end of the
 * turn if there may be more. Calls up. */
static void advance(struct tls *t)
{
	size_t n = t->max ? decrypt(t) : 0;
	struct bufq q;
	struct buf view;

	own_input(t);
	read_lower(t);
	if (n) {
		worker_flush(t->w, &t->flusher);
		bufq_init(&q);
		buf_lend(&view, t->w->plain, n);
		bufq_put(&q, &view);
		t->end.events->data(&t->end, &q);
	} else if (t->failed) {
		tls_broken(t);
	} else if (t->closed && t->max && !t->eof) {
		t->eof = true;
		t->end.events->eof(&t->end);
	} else if (t->lower_eof && t->max && !t->closed) {
		tls_fail(t, REASON_RESET, "the TLS connection was cut");
	}
}

/* The handshake. */

static void on_handshake_over(struct deadline *d)
{
	tls_fail(container_of(d, struct tls, deadline), REASON_TIMED_OUT,
		 "no TLS handshake in time");
}

static void handshake_done(struct tls *t)
{
	t->state = OPEN;
	t->peer.open = true;
	tlsuse_init(&t->use, mbedtls_ssl_get_ciphersuite(&t->ssl));
	deadline_clear(&t->deadline);
	if (!t->ctx->server)
		tlsctx_remember(t->ctx, &t->ssl, t->host);
	write_all(t, &t->early);
	if (t->fin)
		say_goodbye(t);
	own_input(t);
	read_lower(t);
	worker_flush(t->w, &t->flusher);
	t->end.events->opened(&t->end, NULL);
}

/* Without memory there is no handshake, and nobody sees what came of it. */
static int handshake_step(struct tls *t)
{
	unsigned long before = oom_count();
	int err;

	do {
		t->dry = false;
		err = mbedtls_ssl_handshake(&t->ssl);
	} while (err == MBEDTLS_ERR_SSL_WANT_READ && !t->dry);
	if (oom_count() == before)
		return err;
	bufq_clear(&t->out);
	return MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

static void handshake(struct tls *t)
{
	int err = handshake_step(t);

	flush_out(t);
	if (err == 0) {
		handshake_done(t);
		return;
	}
	if (err != MBEDTLS_ERR_SSL_WANT_READ)
		t->failed = err;
	else
		own_input(t);
	if (t->failed)
		tls_broken(t);
	else if (t->lower_eof)
		tls_fail(t, REASON_RESET, "the connection ended");
}

/* Go on with whatever is due. Calls up. */
static void tls_step(struct tls *t)
{
	if (t->state == HANDSHAKE)
		handshake(t);
	else
		advance(t);
}

static void on_flush(struct flusher *f)
{
	struct tls *t = container_of(f, struct tls, flusher);

	if (t->state == OPEN && t->starved && t->room && !t->fin) {
		worker_flush(t->w, f);
		t->starved = false;
		t->end.events->ready(&t->end, t->room);
	} else {
		tls_step(t);
	}
}

/* From below. */

static void on_data(struct end *e, struct bufq *q)
{
	struct tls *t = e->user;

	bufq_move(&t->in, q);
	if (e->ops == &tls_ops) /* lent by w->plain, where ours will go too */
		own_input(t);
	tls_step(t);
}

static void on_sent(struct end *e, size_t n)
{
	struct tls *t = e->user;

	/* What is still queued is at least as long as its plaintext. */
	t->queued -= n;
	n = t->owed > t->queued ? t->owed - t->queued : 0;
	t->owed -= n;
	if (n)
		t->end.events->sent(&t->end, n);
}

static void on_ready(struct end *e, size_t n)
{
	struct tls *t = e->user;

	t->room = n;
	if (t->state != OPEN || t->fin)
		return;
	t->starved = false;
	t->end.events->ready(&t->end, n);
}

static void on_eof(struct end *e)
{
	struct tls *t = e->user;

	t->lower_eof = true;
	tls_step(t);
}

static void on_flushed(struct end *e)
{
	struct tls *t = e->user;

	t->flushed = true;
	t->end.events->flushed(&t->end);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	tls_dead(e->user, why, detail);
}

static const struct end_events lower_events = {
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

/* Making one. */

static bool setup(struct tls *t, const char *host)
{
	if (mbedtls_ssl_setup(&t->ssl, &t->ctx->conf))
		return false;
	mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_recv, NULL);
	t->host = host ? strdup(host) : NULL;
	if ((host && !t->host) ||
	    tlspeer_expect(&t->peer, t->ctx, &t->ssl, t->host))
		return false;
	if (host)
		tlsctx_resume(t->ctx, &t->ssl, t->host);
	return true;
}

struct end *tls_open(struct worker *w, struct tls_context *ctx,
		     struct end *lower, const char *host,
		     const struct end_events *events, void *user)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t) {
		end_drop(lower, REASON_NO_MEMORY);
		return NULL;
	}
	t->w = w;
	t->ctx = tls_context_ref(ctx);
	t->lower = lower;
	t->end.ops = &tls_ops;
	t->flusher.flush = on_flush;
	bufq_init(&t->in);
	bufq_init(&t->out);
	bufq_init(&t->early);
	mbedtls_ssl_init(&t->ssl);
	end_use(&t->end, events, user);
	end_use(lower, &lower_events, t);
	if (!setup(t, host)) {
		tls_drop(&t->end, REASON_NO_MEMORY);
		return NULL;
	}
	deadline_set(w, &t->deadline, HANDSHAKE_MS, on_handshake_over);
	end_read(lower, BUF_MAX);
	worker_flush(w, &t->flusher);
	return &t->end;
}

const char *tls_describe(const struct end *e)
{
	return mbedtls_ssl_get_ciphersuite(&tls_of(e)->ssl);
}

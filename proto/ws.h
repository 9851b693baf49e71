/* SPDX-License-Identifier: MIT */
/*
 * WebSocket framing (RFC 6455) without I/O, either role, on wslay.
 *
 * In: ws_input() takes bytes as they come and calls up with slices of message
 * payload, unmasked in place: a message need not be complete. Unfragmented
 * binary frames go through a fast lane that unmasks in words; everything else
 * (control, text, fragments, every violation) is wslay's. Both give the same
 * results (test/fuzz proves it).
 *
 * Out: ws_seal() pushes the frame header in front of a whole message and masks
 * it in place if this is the client. Control frames (pong, ping, close) wait
 * in a bounded queue until ws_pull().
 *
 * The first violation, or the peer's Close, ends the input: an answering Close
 * frame is then in ws_pull(), and ws_over() says why. Behind a Close of ours
 * the peer's is still looked for, and nothing else is shown.
 */
#ifndef PROTO_WS_H
#define PROTO_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/reason.h"

#define WS_HEADER_MAX 14
#define WS_PONGS_MAX  8 /* waiting; newer ones replace the oldest */

struct ws;

enum ws_role { WS_SERVER, WS_CLIENT };

struct ws_ops {
	/* The next n bytes of a message (n may be 0), valid during the call;
	 * text: of a text message; last: the message is complete. False: stop,
	 * the owner has called ws_close(). */
	bool (*piece)(void *ctx, uint8_t *p, size_t n, bool text, bool last);
	/* 4 unpredictable bytes (RFC 6455 section 5.3). */
	void (*mask)(void *ctx, uint8_t key[4]);
	/* A pong has come; may be NULL. */
	void (*pong)(void *ctx);
};

struct ws_config {
	enum ws_role role;
	uint64_t max_message;   /* bytes; more is closed with 1009 */
	uint32_t max_fragments; /* of one message; more is closed with 1008 */
	struct bufpool *pool;
};

/* NULL: no memory. */
struct ws *ws_new(const struct ws_config *config, const struct ws_ops *ops,
		  void *ctx);
void ws_free(struct ws *w);

/* Bytes from the peer; they are changed. False: it is over, no message will be
 * shown any more. ctx may free w in none of the calls up. */
bool ws_input(struct ws *w, uint8_t *p, size_t n);

/* Bytes of the frame that is arriving which need not be shown here: payload of
 * an unfragmented binary frame that is not masked. *before: the frame's bytes
 * that have come, its header among them. */
uint64_t ws_passable(const struct ws *w, uint64_t *before);
/* The next n of them, which is not 0, were shown to somebody else. Returns
 * whether the message is complete. */
bool ws_pass(struct ws *w, uint64_t n);
/* Is the next byte the first of a frame? */
bool ws_between(const struct ws *w);

/* What a frame carries: the first byte of its header (RFC 6455 section 5.2). */
enum ws_frame {
	WS_BINARY = 0x82,
	WS_TEXT = 0x81,
	WS_BINARY_FIRST = 0x02, /* of several fragments */
	WS_TEXT_FIRST = 0x01,
	WS_NEXT = 0x00,
	WS_LAST = 0x80,
};

/* Make b a frame. b is not lent. */
void ws_seal(struct ws *w, struct buf *b, enum ws_frame kind);

/* Queue a ping, or a close with this code (RFC 6455 section 7.4.1) and a
 * short text; the first close wins. Without memory nothing happens. */
void ws_ping(struct ws *w);
void ws_close(struct ws *w, uint16_t code, const char *text);

/* The next control frame, sealed, or NULL. Caller frees. */
struct buf *ws_pull(struct ws *w);

/* Has a Close been sent or received, or a violation seen? */
bool ws_over(const struct ws *w);
/* Has the peer's Close come? Behind ours: it has read all that was sent. */
bool ws_heard(const struct ws *w);
/* When it is over: REASON_CLOSED for the peer's Close, else the violation's;
 * and the code that the peer sent, 0 if none (1005). */
enum reason ws_why(const struct ws *w, uint16_t *code);

#endif

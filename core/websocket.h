/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket connection on an end: the opening handshake (RFC 6455 section
 * 4) in either role, frames, pings, the closing handshake. It knows nothing
 * of the messages.
 *
 *	HANDSHAKE  10 seconds; then opened() or closed()
 *	OPEN	   messages in both directions
 *	CLOSING	   our Close is out; 5 seconds from the last byte that left, 30
 *		   in all
 *	gone	   after closed(), or some time after websocket_close()
 *
 * Whether an OPEN peer still lives: core/alive.h.
 */
#ifndef CORE_WEBSOCKET_H
#define CORE_WEBSOCKET_H

#include "core/worker.h"
#include "proto/end.h"
#include "proto/upgrade.h"
#include "proto/ws.h"

struct penalty;
struct websocket;

struct websocket_ops {
	/* Server: may this request be a WebSocket? DONE, or why not. */
	enum reason (*check)(void *ctx, const struct upgrade_request *req);
	/* The handshake is done. peer is NULL if the peer is not a wsp. */
	void (*opened)(void *ctx, const struct upgrade_wsp *peer);
	/* The next n bytes of a message; last: it is complete. */
	void (*piece)(void *ctx, uint8_t *p, size_t n, bool text, bool last);
	/* So many of the next bytes of a message could be told by pass();
	 * *got: bytes before them that were no header of any kind. NULL:
	 * none. */
	uint64_t (*passable)(void *ctx, uint64_t *got);
	/* The next bytes, which lie aside in b, valid until turn() returns. */
	void (*pass)(void *ctx, const struct buf *b, bool last);
	/* All pieces of one read have been told; their memory is used again
	 * when this returns. */
	void (*turn)(void *ctx);
	/* The next frame to send, with headroom, or NULL; the callee's buf
	 * becomes ours. */
	struct buf *(*pull)(void *ctx, enum ws_frame *kind);
	/* Gone; w is freed by itself. detail may be NULL. */
	void (*closed)(void *ctx, enum reason why, const char *detail);
};

struct websocket_config {
	struct ws_config ws;             /* without its pool */
	struct upgrade_ask ask;          /* client; its wsp is the offer */
	const struct upgrade_wsp *offer; /* ours; NULL: do not negotiate */
};

/* Over lower, which is OPEN and taken. config is copied, its texts must
 * outlive the handshake. NULL: no memory, lower is gone. */
struct websocket *websocket_open(struct worker *w, struct end *lower,
				 const struct websocket_config *config,
				 const struct websocket_ops *ops, void *ctx);
/* Right after websocket_open(): n bytes that lower has delivered before.
 * False: no memory; s must be closed. */
bool websocket_feed(struct websocket *s, const uint8_t *p, size_t n);
/* Server, inside check(): how the request is refused, if it is. */
void websocket_punish(struct websocket *s, const struct penalty *penalty);
/* Something can be pulled: do so at the end of the turn. */
void websocket_wake(struct websocket *s);
/* Pull once now, as much as can be sent. Never calls up. */
void websocket_pump(struct websocket *s);
/* Stop or restart taking what the peer sends. */
void websocket_pause(struct websocket *s, bool on);
/* Would it send now, without copying, a message that lies aside? False: nothing
 * is pulled any more until it would. */
bool websocket_aside_now(struct websocket *s);
/* Should what is new rather go over another connection? */
bool websocket_worn(const struct websocket *s);
/* End it: what is queued goes out, then a Close frame with why's code. No
 * call up follows. */
void websocket_close(struct websocket *s, enum reason why);

#endif

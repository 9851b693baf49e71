/* SPDX-License-Identifier: MIT */
/*
 * The opening handshake of a WebSocket (RFC 6455 section 4), either role,
 * without I/O; llhttp parses the heads. What wsp adds to it:
 *
 *	Auth: TOKEN	gowsp's way of saying a token; ours too
 *	Proto: 0.10	gowsp's version of the seed's protocol, since its 0.4
 *	Wsp: 1; window=16384; message=1048832
 *			what two wsp negotiate (docs/protocol.md)
 *
 * The server answers with its own Wsp field only if the request had one that
 * is well formed. A peer without it is a gowsp.
 */
#ifndef PROTO_UPGRADE_H
#define PROTO_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reason.h"

#define UPGRADE_HEAD_MAX      (16 * 1024) /* bytes of a head; more is TOO_LARGE */
#define UPGRADE_PATH_MAX      1024
#define UPGRADE_TOKEN_MAX     512
#define UPGRADE_OUT_MAX       4096 /* holds every head that we write */
#define UPGRADE_FIELDS_MAX    1900 /* bytes of upgrade_ask.fields */
#define UPGRADE_FORWARDED_MAX 1024
#define UPGRADE_NONCE         16 /* random bytes of Sec-WebSocket-Key */

/* What one side of a negotiated connection promises to the other. */
struct upgrade_wsp {
	uint32_t window;  /* first credit of each stream, 1 to 2^31-1 */
	uint32_t message; /* bytes of a message that it takes, 1024 or more */
};

/* A request that is a correct WebSocket handshake. */
struct upgrade_request {
	char path[UPGRADE_PATH_MAX];   /* percent-decoded, without the query */
	char token[UPGRADE_TOKEN_MAX]; /* first Auth field, "" if there is none
					*/
	/* X-Forwarded-For, fields joined by commas; "" if there is none, or it
	 * is too long. Of several that are too long together, the last. */
	char forwarded[UPGRADE_FORWARDED_MAX];
	bool has_token; /* there is an Auth field, empty or too long maybe */
	bool has_origin;
	bool proto_ok; /* no Proto, or one whose integer part is 0 */
	bool negotiated;
	struct upgrade_wsp wsp;
};

/* What the client asks for. */
struct upgrade_ask {
	const char *host;  /* for the Host field */
	const char *path;  /* with the query */
	const char *token; /* NULL: neither Auth nor Proto is sent */
	const struct upgrade_wsp *wsp; /* NULL: not negotiated */
	const char *fields; /* more of them, each with its CRLF; or NULL */
};

/* May "Name: value" be one of them? Not if it has a meaning here already. */
bool upgrade_field_is_good(const char *text);

struct upgrade;

enum upgrade_state { UPGRADE_MORE, UPGRADE_DONE, UPGRADE_FAILED };

/* Reads a request, or the response to the request that had this nonce.
 * NULL: no memory. */
struct upgrade *upgrade_new_server(void);
struct upgrade *upgrade_new_client(const uint8_t nonce[UPGRADE_NONCE]);
void upgrade_free(struct upgrade *u);

/* The next bytes. DONE: *used of them belong to the head, the rest to the
 * frames. FAILED: upgrade_why(). */
enum upgrade_state upgrade_feed(struct upgrade *u, const uint8_t *p, size_t n,
				size_t *used);
/* BAD_REQUEST, BAD_METHOD, BAD_VERSION, TOO_LARGE, NO_MEMORY; of a client
 * UNAUTHORIZED (401, 403, 407), TUNNEL_DOWN (5xx, 429: later, perhaps) or
 * NOT_WSP (anything else). */
enum reason upgrade_why(const struct upgrade *u);
/* What was wrong, for the log: "the server answers 404". Valid as long as u. */
const char *upgrade_detail(const struct upgrade *u);
/* After DONE, of a server; valid as long as u. The token is there as soon as
 * its field is complete. */
const struct upgrade_request *upgrade_request(const struct upgrade *u);
/* After DONE, of a client: what the server has promised, or NULL. */
const struct upgrade_wsp *upgrade_peer(const struct upgrade *u);

/* Each writes a whole head to out, of UPGRADE_OUT_MAX bytes, and returns its
 * length. The request: 0 when it does not fit. */
size_t upgrade_write_request(char *out, const struct upgrade_ask *ask,
			     const uint8_t nonce[UPGRADE_NONCE]);
size_t upgrade_write_response(char *out, const struct upgrade *u,
			      const struct upgrade_wsp *wsp);
/* The answer to a request that is not served: fixed texts only. */
size_t upgrade_write_refusal(char *out, enum reason why);

#endif

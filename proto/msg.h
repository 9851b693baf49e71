/* SPDX-License-Identifier: MIT */
/*
 * The envelope: WspMessage (proto/wsp.proto) in and out of bytes.
 *
 * In: msg_feed() takes a message in pieces of any size and returns events. The
 * payload of a message is never collected or copied: MSG_DATA shows slices of
 * what was fed. Fields must come in ascending order (every protobuf encoder
 * writes them so); fields with numbers over 3 are skipped, wherever they are,
 * but not more than 64 of a message, for they cost time; so is a field 3 that
 * is empty. An id is at most 64 bytes, any bytes.
 *
 * Out: msg_seal() pushes the envelope in front of the payload in place, with
 * the bytes that any protobuf encoder would write. The payloads of the other
 * messages are encoded and decoded by the structs that nanopb generates.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/reason.h"
#include "wsp.pb.h"

#define MSG_ID_MAX      64
#define MSG_VARINT_MAX  10
#define MSG_UNKNOWN_MAX 64 /* fields of one message that are skipped */

static_assert(BUF_HEADROOM >= 2 + MSG_ID_MAX + 2 + 1 + 5 + 14,
	      "headroom holds envelope and frame header");

enum msg_event {
	MSG_MORE = 0, /* all was used up; feed the next piece */
	MSG_HEAD = 1, /* id, cmd and data_len are known */
	MSG_DATA = 2, /* *slice, *len: the next part of the data */
	MSG_END = 3,  /* the message is complete */
	MSG_ERROR = -1,
};

struct msg_in {
	/* valid from MSG_HEAD to MSG_END */
	uint8_t id[MSG_ID_MAX];
	uint8_t id_len;
	int32_t cmd; /* as it came: may be none of enum WspCmd */
	uint32_t data_len;
	/* private */
	uint8_t varint[MSG_VARINT_MAX]; /* arriving */
	uint8_t varint_len;
	uint8_t state;
	uint8_t got; /* of the id */
	bool data_seen;
	uint8_t skipped; /* fields */
	uint32_t field;  /* number of the last tag */
	uint64_t left;   /* of the data, or of a field that is skipped */
};

void msg_in_init(struct msg_in *m);
/* Take from *p, *n, advancing both; last: the message ends with these bytes.
 * Call again until MSG_MORE, MSG_END or MSG_ERROR. Every message gives exactly
 * one MSG_HEAD, then MSG_DATA for each slice, then MSG_END, after which m is
 * ready for the next message. */
enum msg_event msg_feed(struct msg_in *m, const uint8_t **p, size_t *n,
			bool last, const uint8_t **slice, size_t *len);

/* Bytes of the data that have not come yet, once its length has. */
uint64_t msg_data_left(const struct msg_in *m);
/* The next n of them were shown to somebody else; at most msg_data_left(). */
void msg_pass(struct msg_in *m, uint64_t n);

/* Push the envelope in front of b's payload, which becomes the data. */
void msg_seal(struct buf *b, const uint8_t *id, size_t id_len, WspCmd cmd);

/* Each returns a whole sealed message. NULL: no memory, or a text that is too
 * long. Caller frees. */
struct buf *msg_connect(struct bufpool *p, const uint8_t *id, size_t id_len,
			const char *url);
/* why DONE: SUCCESS. Negotiated: reason and bound are sent too (bound may be
 * NULL). Towards gowsp text says what Go would (may be NULL). */
struct buf *msg_respond(struct bufpool *p, const uint8_t *id, size_t id_len,
			enum reason why, const char *bound, bool negotiated);
struct buf *msg_reset(struct bufpool *p, const uint8_t *id, size_t id_len,
		      enum reason why, bool negotiated);
struct buf *msg_credit(struct bufpool *p, const uint8_t *id, size_t id_len,
		       uint32_t bytes);

/* The data of the messages, whole. False: malformed. */
bool msg_parse_request(const uint8_t *p, size_t n, WspRequest *out);
/* *why: DONE, the negotiated reason, or what Go's text says (gowsp-wire.md
 * 5.3: "connection refused", "no such host", "i/o timeout" ...). */
bool msg_parse_response(const uint8_t *p, size_t n, WspResponse *out,
			enum reason *why);
/* Empty, or a text of gowsp's: REASON_CLOSED. */
enum reason msg_parse_reset(const uint8_t *p, size_t n);
bool msg_parse_credit(const uint8_t *p, size_t n, uint32_t *bytes);

#endif

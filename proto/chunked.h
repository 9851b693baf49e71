/* SPDX-License-Identifier: MIT */
/*
 * The chunked coding (RFC 9112 section 7.1) as it goes through a proxy: sizes
 * and data stay as they are, chunk extensions are cut out in place, and what
 * is not exactly as the RFC has it is broken, so that llhttp, whose versions
 * differ here, is shown nothing but plain chunks.
 *
 *	SIZE EXTENSION SIZE_LF DATA DATA_CR DATA_LF	and again, until
 *	LAST	"0" CRLF has passed: the trailer section follows
 *	BROKEN
 */
#ifndef PROTO_CHUNKED_H
#define PROTO_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunked {
	enum {
		CHUNKED_SIZE,
		CHUNKED_EXTENSION,
		CHUNKED_SIZE_LF,
		CHUNKED_DATA,
		CHUNKED_DATA_CR,
		CHUNKED_DATA_LF,
		CHUNKED_LAST,
		CHUNKED_BROKEN,
	} state;
	bool strip;  /* cut all but the data, for who knows no chunks */
	bool named;  /* EXTENSION: the semicolon has come */
	int ndigits; /* SIZE */
	unsigned int extension; /* bytes of all of them */
	uint64_t left;          /* of the chunk */
};

/* Zeroed, it is at its start. Looks at n bytes at p, of which *used are taken;
 * fewer than n only in LAST and BROKEN. Returns how many of them stay, moved
 * together at p. */
size_t chunked_pass(struct chunked *c, uint8_t *p, size_t n, size_t *used);

#endif

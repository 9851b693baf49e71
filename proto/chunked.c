/* SPDX-License-Identifier: MIT */
#include "proto/chunked.h"

#include <string.h>

#define DIGITS_MAX    16
#define EXTENSION_MAX 16384 /* bytes in one message */

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A step of each state: is the byte passed on? */

static bool on_size(struct chunked *c, uint8_t byte)
{
	int value = digit(byte);

	if (value >= 0) {
		if (c->ndigits++ == DIGITS_MAX || c->left >> 58)
			c->state = CHUNKED_BROKEN;
		c->left = c->left << 4 | (unsigned int)value;
		return !c->strip;
	}
	if (c->ndigits == 0) {
		c->state = CHUNKED_BROKEN;
	} else if (byte == '\r') {
		c->state = CHUNKED_SIZE_LF;
		return !c->strip;
	} else if (byte == ';' || byte == ' ' || byte == '\t') {
		c->named = byte == ';';
		c->state = CHUNKED_EXTENSION;
	} else {
		c->state = CHUNKED_BROKEN;
	}
	return false;
}

static bool on_extension(struct chunked *c, uint8_t byte)
{
	bool blank = byte == ' ' || byte == '\t';

	if (byte == '\r' && c->named) {
		c->state = CHUNKED_SIZE_LF;
		return !c->strip;
	}
	if (!c->named && byte == ';')
		c->named = true;
	else if ((!c->named && !blank) || byte == 0x7f ||
		 (byte < ' ' && byte != '\t'))
		c->state = CHUNKED_BROKEN;
	if (++c->extension > EXTENSION_MAX)
		c->state = CHUNKED_BROKEN;
	return false;
}

static bool on_size_lf(struct chunked *c, uint8_t byte)
{
	c->state = byte != '\n' ? CHUNKED_BROKEN
		   : c->left    ? CHUNKED_DATA
				: CHUNKED_LAST;
	c->ndigits = 0;
	return !c->strip;
}

static bool on_end(struct chunked *c, uint8_t byte)
{
	bool cr = c->state == CHUNKED_DATA_CR;

	if (byte != (cr ? '\r' : '\n'))
		c->state = CHUNKED_BROKEN;
	else
		c->state = cr ? CHUNKED_DATA_LF : CHUNKED_SIZE;
	return !c->strip;
}

static bool step(struct chunked *c, uint8_t byte)
{
	switch (c->state) {
	case CHUNKED_SIZE:
		return on_size(c, byte);
	case CHUNKED_EXTENSION:
		return on_extension(c, byte);
	case CHUNKED_SIZE_LF:
		return on_size_lf(c, byte);
	case CHUNKED_DATA_CR:
	case CHUNKED_DATA_LF:
		return on_end(c, byte);
	case CHUNKED_DATA:
	case CHUNKED_LAST:
	case CHUNKED_BROKEN:
		break;
	}
	return false;
}

static size_t data(struct chunked *c, size_t n)
{
	size_t k = c->left < n ? (size_t)c->left : n;

	c->left -= k;
	if (c->left == 0)
		c->state = CHUNKED_DATA_CR;
	return k;
}

size_t chunked_pass(struct chunked *c, uint8_t *p, size_t n, size_t *used)
{
	size_t kept = 0, k;

	*used = 0;
	while (*used < n && c->state < CHUNKED_LAST) {
		if (c->state == CHUNKED_DATA) {
			k = data(c, n - *used);
			if (kept != *used)
				memmove(p + kept, p + *used, k);
			kept += k;
			*used += k;
		} else {
			p[kept] = p[*used];
			kept += step(c, p[*used]);
			(*used)++;
		}
	}
	return kept;
}

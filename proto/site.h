/* SPDX-License-Identifier: MIT */
/*
 * What a web site of plain files understands and says (RFC 9110, RFC 9112):
 * heads of GET and HEAD, one after the other on a connection, and the heads of
 * the answers. No file is touched here.
 */
#ifndef PROTO_SITE_H
#define PROTO_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SITE_HEAD_MAX (16 * 1024) /* bytes of a head */
#define SITE_PATH_MAX 1024        /* bytes of a request target */
#define SITE_OUT_MAX  4096        /* holds every answer that we write */
#define SITE_NEVER    INT64_MIN   /* earlier than all files, also than 1970 */

struct site_request {
	int status;    /* 200: the file, if there is one; else what is wrong */
	bool head;     /* HEAD: no content */
	bool close;    /* nothing behind it will be answered */
	int64_t since; /* If-Modified-Since, or SITE_NEVER */
	char path[SITE_PATH_MAX];   /* decoded, below the root: "", "a/", "a/b";
				     * no part is empty or begins with a dot */
	char target[SITE_PATH_MAX]; /* as it came, without the query */
};

struct site_answer {
	int status;
	bool head;
	bool close;
	const char *type;   /* of 200 */
	uint64_t length;    /* of 200 */
	int64_t modified;   /* of 200 and 304 */
	const char *target; /* of 301: where a slash is missing */
	int64_t now;        /* seconds since 1970, as all times here */
};

enum site_state { SITE_MORE, SITE_DONE };

struct site;

/* NULL: no memory. */
struct site *site_new(void);
void site_free(struct site *s);
/* The next bytes. DONE: *used of them belong to this request, the next call
 * begins the next one. Behind one that says close there is none. */
enum site_state site_feed(struct site *s, const uint8_t *p, size_t n,
			  size_t *used);
/* After DONE; valid until the next call. */
const struct site_request *site_request(const struct site *s);

/* "text/html", by the end of the name. */
const char *site_type(const char *path);
/* Writes the head, and for anything but 200 and 304 a small page with it, to
 * out of SITE_OUT_MAX bytes. Returns the length. */
size_t site_write(char *out, const struct site_answer *a);

#endif

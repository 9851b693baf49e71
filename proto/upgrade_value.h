/* SPDX-License-Identifier: MIT */
/* Values of the fields of an opening handshake: what they mean, and those that
 * are computed. Private to the parser in upgrade.c. */
#ifndef PROTO_UPGRADE_VALUE_H
#define PROTO_UPGRADE_VALUE_H

#include <stdbool.h>

#include "proto/upgrade.h"

#define KEY_LEN    24 /* base64 of 16 bytes */
#define ACCEPT_LEN 28 /* base64 of 20 bytes */

/* Is word in a comma-separated list (RFC 9110 section 5.6.1), in any case? */
bool upgrade_list_has(const char *list, const char *word);
/* "1; window=N; message=N" (docs/protocol.md, section 3). */
bool upgrade_parse_wsp(const char *p, struct upgrade_wsp *out);
/* gowsp's version: a float whose integer part is 0. */
bool upgrade_parse_proto(const char *p);
/* The path of a request target, percent-decoded (RFC 3986 section 2.1),
 * without the query; it is never longer than what was given. */
bool upgrade_parse_path(const char *p, char out[UPGRADE_PATH_MAX]);
/* Sec-WebSocket-Key of a nonce; is it one; and its Sec-WebSocket-Accept (RFC
 * 6455 section 4.2.2, step 5.4). False: no memory. */
void upgrade_key(const uint8_t nonce[UPGRADE_NONCE], char out[KEY_LEN + 1]);
bool upgrade_key_is_good(const char *key);
bool upgrade_accept(const char *key, char out[ACCEPT_LEN + 1]);

#endif

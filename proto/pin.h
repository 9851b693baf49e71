/* SPDX-License-Identifier: MIT */
/*
 * A pin: the SHA-256 of a public key as certificates carry it (the DER of the
 * SubjectPublicKeyInfo, RFC 7469 section 2.4), as text "sha256:" and base64.
 */
#ifndef PROTO_PIN_H
#define PROTO_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIN_TEXT_MAX 52

struct pin {
	uint8_t digest[32];
};

/* "sha256:" or, as curl has it, "sha256//", and 44 characters of base64 or 64
 * hexadecimal digits. */
bool pin_parse(const char *text, struct pin *out);
/* out has PIN_TEXT_MAX bytes. Returns out. */
char *pin_format(const struct pin *pin, char *out);
/* That of a key, n bytes of DER. */
bool pin_of(const uint8_t *key, size_t n, struct pin *out);

#endif

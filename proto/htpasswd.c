/* SPDX-License-Identifier: MIT */
#include "proto/htpasswd.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BCRYPT_LEN     60 /* "$2y$12$", 22 of salt, 31 of hash */
#define BCRYPT_COST    15 /* two seconds */
#define ROUNDS_MIN     1000
#define ROUNDS_MAX     5000000 /* the same */
#define SALT_MAX       16      /* of SHA-2 */
#define SHA256_LEN     43
#define SHA512_LEN     86
#define YESCRYPT_LEN   43
#define YESCRYPT_N     13 /* 64 MiB, what a cost of 7 takes */
#define YESCRYPT_R     31
#define YESCRYPT_PARAM 3 /* flavour, N and r: all that is commonly made */

#define TOO_COSTLY                                                            \
	"the hash would take too long or too much memory to check (at most: " \
	"bcrypt 15, SHA 5000000 rounds, yescrypt 7)"

/* The digits of crypt(5), in their order. */
static const char digits[] =
	"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool all_digits(const char *p, size_t n)
{
	return strspn(p, digits) == n && p[n] == 0;
}

/* What follows the prefix; NULL: good. */

static const char *check_bcrypt(const char *p)
{
	bool number = p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '9';
	int cost = (p[0] - '0') * 10 + (number ? p[1] - '0' : 0);

	if (!number || p[2] != '$' || !all_digits(p + 3, BCRYPT_LEN - 7) ||
	    cost < 4)
		return "not a whole bcrypt hash";
	return cost > BCRYPT_COST ? TOO_COSTLY : NULL;
}

static const char *check_sha(const char *p, size_t len)
{
	static const char rounds[] = "rounds=";
	size_t salt;
	char *end;
	unsigned long n;

	if (strncmp(p, rounds, strlen(rounds)) == 0) {
		p += strlen(rounds);
		n = strtoul(p, &end, 10);
		if (*p < '1' || *p > '9' || *end != '$' || n < ROUNDS_MIN)
			return "not a number of rounds (at least 1000)";
		if (n > ROUNDS_MAX)
			return TOO_COSTLY;
		p = end + 1;
	}
	salt = strspn(p, digits);
	if (salt > SALT_MAX || p[salt] != '$' || !all_digits(p + salt + 1, len))
		return "not a whole SHA-crypt hash";
	return NULL;
}

static const char *check_sha256(const char *p)
{
	return check_sha(p, SHA256_LEN);
}

static const char *check_sha512(const char *p)
{
	return check_sha(p, SHA512_LEN);
}

static const char *check_yescrypt(const char *p)
{
	size_t n = strspn(p, digits);
	const char *salt = p + n + 1;

	if (n == 0 || p[n] != '$' || salt[strspn(salt, digits)] != '$' ||
	    !all_digits(strchr(salt, '$') + 1, YESCRYPT_LEN))
		return "not a whole yescrypt hash";
	if (n != YESCRYPT_PARAM || p[0] != 'j' ||
	    strchr(digits, p[1]) > digits + YESCRYPT_N ||
	    strchr(digits, p[2]) > digits + YESCRYPT_R)
		return TOO_COSTLY;
	return NULL;
}

static const struct {
	const char *prefix, *trial;
	const char *(*check)(const char *p);
} schemes[HTPASSWD_SCHEMES] = {
	[HTPASSWD_BCRYPT_Y] = {"$2y$", "$2y$04$abcdefghijklmnopqrstuu",
			       check_bcrypt},
	[HTPASSWD_BCRYPT_B] = {"$2b$", "$2b$04$abcdefghijklmnopqrstuu",
			       check_bcrypt},
	[HTPASSWD_BCRYPT_A] = {"$2a$", "$2a$04$abcdefghijklmnopqrstuu",
			       check_bcrypt},
	[HTPASSWD_SHA256] = {"$5$", "$5$rounds=1000$salt", check_sha256},
	[HTPASSWD_SHA512] = {"$6$", "$6$rounds=1000$salt", check_sha512},
	[HTPASSWD_YESCRYPT] = {"$y$", "$y$j75$saltsaltsalt", check_yescrypt},
};

/* Why a hash of none of these is refused. */
static const char *name_scheme(const char *hash)
{
	static const struct {
		const char *prefix, *text;
	} others[] = {
		{"$apr1$", "$apr1$ (Apache's MD5) is not supported: use "
			   "htpasswd -B"},
		{"$1$", "$1$ (MD5) is too weak: use htpasswd -B"},
		{"{SHA}", "{SHA} (SHA-1) is too weak: use htpasswd -B"},
		{"{", "{...} (as LDAP has it) is not supported: use "
		      "htpasswd -B"},
		{"_", "DES is too weak: use htpasswd -B"},
		{"$", "a scheme that is not supported: use htpasswd -B ($2y$), "
		      "or crypt's $5$, $6$ or $y$"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strncmp(hash, others[i].prefix, strlen(others[i].prefix)) ==
		    0)
			return others[i].text;
	if (all_digits(hash, 13))
		return "DES is too weak: use htpasswd -B";
	return "not a hash (a password in clear?): use htpasswd -B";
}

static const char *check_hash(struct htpasswd *h)
{
	for (int i = 0; i < HTPASSWD_SCHEMES; i++) {
		size_t n = strlen(schemes[i].prefix);

		if (strncmp(h->hash, schemes[i].prefix, n) == 0) {
			h->scheme = (enum htpasswd_scheme)i;
			return schemes[i].check(h->hash + n);
		}
	}
	return name_scheme(h->hash);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

const char *htpasswd_parse(const char *line, size_t n, struct htpasswd *out)
{
	const char *colon;
	size_t user;

	memset(out, 0, sizeof(*out));
	while (n && is_blank(line[n - 1]))
		n--;
	if (n == 0 || *line == '#')
		return NULL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			return "a control character";
	colon = memchr(line, ':', n);
	if (!colon)
		return "not USER:HASH";
	user = (size_t)(colon - line);
	if (user == 0 || user > HTPASSWD_USER_MAX)
		return "a user has 1 to 255 bytes";
	n -= user + 1;
	if (n > HTPASSWD_HASH_MAX)
		return "a hash has at most 255 bytes";
	memcpy(out->hash, colon + 1, n);
	if (strchr(out->hash, ':'))
		return "more than USER:HASH";
	memcpy(out->user, line, user);
	return check_hash(out);
}

const char *htpasswd_prefix(enum htpasswd_scheme s)
{
	return schemes[s].prefix;
}

const char *htpasswd_trial(enum htpasswd_scheme s)
{
	return schemes[s].trial;
}

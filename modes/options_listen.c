/* SPDX-License-Identifier: MIT */
/* Values of the options that listen: where, and who may open a Unix socket. */
#include "modes/options_set.h"

#include <stdlib.h>
#include <string.h>

#include "modes/account.h"
#include "modes/options.h"

#define PORT_SOCKS 1080
#define PORT_HTTP  8080

/* "" stands for the default host, which may depend on other options. */
static const char *add_listen(struct listens *l, uint16_t port,
			      const char *value)
{
	struct addr a = {.host = "", .port = port};
	enum addr_err err = value ? addr_parse_listen(value, &a) : ADDR_OK;

	if (err == ADDR_EPATH)
		return "unix: needs a path of 1 to 107 bytes, without blanks";
	if (err)
		return err == ADDR_EPORT ? "not a port (0 to 65535)"
					 : "not PORT, :PORT, ADDR:PORT, "
					   "[IPV6]:PORT or unix:PATH";
	if (!addr_unix(&a) && host_family(a.host) == 0 && *a.host &&
	    strcmp(a.host, "*") != 0 && strcmp(a.host, "localhost") != 0)
		return "not an address of this machine (names are not "
		       "resolved here, but for localhost)";
	if (l->count == LISTENS_MAX)
		return "too many listeners, 16 are possible";
	l->at[l->count++] = a;
	return NULL;
}

static void clear_list(struct listens *l)
{
	l->count = 0;
	l->narrow = false;
}

const char *set_listen(void *t, const char *value)
{
	return add_listen(&((struct options *)t)->listen, PORT_SERVER, value);
}

void clear_listen(void *t)
{
	clear_list(&((struct options *)t)->listen);
}

const char *set_socks(void *t, const char *value)
{
	return add_listen(&((struct options *)t)->socks, PORT_SOCKS, value);
}

void clear_socks(void *t)
{
	clear_list(&((struct options *)t)->socks);
}

const char *set_http(void *t, const char *value)
{
	return add_listen(&((struct options *)t)->http, PORT_HTTP, value);
}

void clear_http(void *t)
{
	clear_list(&((struct options *)t)->http);
}

const char *set_mixed(void *t, const char *value)
{
	return add_listen(&((struct options *)t)->mixed, PORT_SOCKS, value);
}

void clear_mixed(void *t)
{
	clear_list(&((struct options *)t)->mixed);
}

const char *set_unix_mode(void *t, const char *value)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (*value < '0' || *value > '7' || *end || mode > 0777)
		return "not an octal mode, such as 0660";
	((struct options *)t)->access.mode = (mode_t)mode;
	return NULL;
}

/* "USER", "USER:GROUP", ":GROUP", by name or number. */
const char *set_unix_owner(void *t, const char *value)
{
	struct sockfile_access *a = &((struct options *)t)->access;
	size_t n = strcspn(value, ":");
	char user[ACCOUNT_NAME_MAX];
	const char *group = value[n] ? value + n + 1 : "";

	if (n >= sizeof(user) || (n == 0 && !*group))
		return "not USER, USER:GROUP or :GROUP";
	memcpy(user, value, n);
	user[n] = 0;
	if (n && !account_user(user, &a->uid))
		return "no such user";
	if (*group && !account_group(group, &a->gid))
		return "no such group";
	return NULL;
}

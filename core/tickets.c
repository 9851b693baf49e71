/* SPDX-License-Identifier: MIT */
#include "core/tickets.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl_ticket.h>
#include <uv.h>

#define LIFE_S 86400

struct tickets {
	atomic_uint refs;
	mbedtls_ssl_ticket_context ctx;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context drbg; /* of ctx alone: it is under the lock */
	uv_mutex_t lock;
};

struct tickets *tickets_new(void)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (uv_mutex_init(&t->lock)) {
		free(t);
		return NULL;
	}
	atomic_init(&t->refs, 1);
	mbedtls_ssl_ticket_init(&t->ctx);
	mbedtls_entropy_init(&t->entropy);
	mbedtls_ctr_drbg_init(&t->drbg);
	if (mbedtls_ctr_drbg_seed(&t->drbg, mbedtls_entropy_func, &t->entropy,
				  NULL, 0) == 0 &&
	    mbedtls_ssl_ticket_setup(&t->ctx, mbedtls_ctr_drbg_random, &t->drbg,
				     MBEDTLS_CIPHER_AES_256_GCM, LIFE_S) == 0)
		return t;
	tickets_free(t);
	return NULL;
}

struct tickets *tickets_ref(struct tickets *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tickets_free(struct tickets *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	mbedtls_ssl_ticket_free(&t->ctx);
	mbedtls_ctr_drbg_free(&t->drbg);
	mbedtls_entropy_free(&t->entropy);
	uv_mutex_destroy(&t->lock);
	free(t);
}

static int on_write(void *arg, const mbedtls_ssl_session *session,
		    unsigned char *start, const unsigned char *end,
		    size_t *size, uint32_t *life)
{
	struct tickets *t = arg;
	int err;

	uv_mutex_lock(&t->lock);
	err = mbedtls_ssl_ticket_write(&t->ctx, session, start, end, size,
				       life);
	uv_mutex_unlock(&t->lock);
	return err;
}

static int on_parse(void *arg, mbedtls_ssl_session *session, unsigned char *buf,
		    size_t size)
{
	struct tickets *t = arg;
	int err;

	uv_mutex_lock(&t->lock);
	err = mbedtls_ssl_ticket_parse(&t->ctx, session, buf, size);
	uv_mutex_unlock(&t->lock);
	return err;
}

void tickets_use(struct tickets *t, mbedtls_ssl_config *conf)
{
	mbedtls_ssl_conf_session_tickets_cb(conf, on_write, on_parse, t);
}

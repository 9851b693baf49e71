/* SPDX-License-Identifier: MIT */
#include "core/mailbox.h"

#include "proto/container.h"

/* All letters, in order; with close, the last ones. */
static struct letter *take_all(struct mailbox *m, bool close)
{
	struct letter *all;

	uv_mutex_lock(&m->lock);
	all = m->first;
	m->first = NULL;
	m->last = &m->first;
	m->closed |= close;
	uv_mutex_unlock(&m->lock);
	return all;
}

static void open_all(struct letter *l)
{
	struct letter *next;

	for (; l; l = next) {
		next = l->next;
		l->open(l);
	}
}

static void on_async(uv_async_t *a)
{
	open_all(take_all(container_of(a, struct mailbox, async), false));
}

int mailbox_init(struct mailbox *m, uv_loop_t *loop)
{
	int err = uv_mutex_init(&m->lock);

	if (err)
		return err;
	m->first = NULL;
	m->last = &m->first;
	m->closed = false;
	err = uv_async_init(loop, &m->async, on_async);
	if (err)
		uv_mutex_destroy(&m->lock);
	return err;
}

bool mailbox_post(struct mailbox *m, struct letter *l)
{
	bool closed;

	l->next = NULL;
	uv_mutex_lock(&m->lock);
	closed = m->closed;
	if (!closed) {
		*m->last = l;
		m->last = &l->next;
		uv_async_send(&m->async); /* the handle is not closed yet */
	}
	uv_mutex_unlock(&m->lock);
	return !closed;
}

void mailbox_close(struct mailbox *m)
{
	struct letter *last = take_all(m, true);

	if (!uv_is_closing((uv_handle_t *)&m->async))
		uv_close((uv_handle_t *)&m->async, NULL);
	open_all(last);
}

void mailbox_done(struct mailbox *m)
{
	uv_mutex_destroy(&m->lock);
}

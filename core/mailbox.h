/* SPDX-License-Identifier: MIT */
/*
 * A mailbox is the one way from thread to thread: anybody posts letters, the
 * loop's own thread opens them, in order of posting.
 *
 *	OPEN
 *	CLOSED	what had been posted was opened, the rest is refused
 *
 * A letter is a member of the object that it speaks of. From post() to open()
 * it belongs to the mailbox, and whatever the sender wrote before is seen by
 * open().
 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include <stdbool.h>
#include <uv.h>

struct letter {
	struct letter *next;
	void (*open)(struct letter *l);
};

struct mailbox {
	uv_async_t async;
	uv_mutex_t lock;
	struct letter *first, **last;
	bool closed;
};

/* 0 or a negative libuv code. */
int mailbox_init(struct mailbox *m, uv_loop_t *loop);
/* From any thread. False: CLOSED, and l remains the caller's. */
bool mailbox_post(struct mailbox *m, struct letter *l);
/* Idempotent; the handle is closed. */
void mailbox_close(struct mailbox *m);
/* Behind the end of the loop and of all who may post. */
void mailbox_done(struct mailbox *m);

#endif

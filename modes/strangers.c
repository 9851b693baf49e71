/* SPDX-License-Identifier: MIT */
#include "modes/strangers.h"

#include <stddef.h>
#include <utlist.h>

void strangers_init(struct strangers *all, unsigned int limit,
		    unsigned int workers)
{
	all->limit = (limit + workers - 1) / workers;
	if (workers > 1 && all->limit < STRANGERS_LEAST)
		all->limit = STRANGERS_LEAST;
}

/* The oldest that comes from where s does, and how many do, s included. */
static struct stranger *kin(const struct strangers *all,
			    const struct stranger *s, unsigned int *n)
{
	struct stranger *first = NULL, *other;

	*n = 0;
	DL_FOREACH(all->oldest, other)
	{
		if (!other->known || !source_equal(&other->from, &s->from))
			continue;
		++*n;
		if (!first && other != s)
			first = other;
	}
	return first;
}

/* One source may have three quarters of the limit, so that others find room
 * without anybody having to go. */
static struct stranger *too_many(const struct strangers *all,
				 const struct stranger *s)
{
	unsigned int n, share = all->limit - all->limit / 4;
	struct stranger *first = kin(all, s, &n);

	return n > share || all->count > all->limit ? first : NULL;
}

struct stranger *strangers_add(struct strangers *all, struct stranger *s,
			       const struct source *from)
{
	struct stranger *oldest = all->oldest, *first = NULL;

	s->counted = true;
	DL_APPEND(all->oldest, s);
	all->count++;
	if (from)
		first = strangers_place(all, s, from);
	return !first && all->count > all->limit ? oldest : first;
}

struct stranger *strangers_place(struct strangers *all, struct stranger *s,
				 const struct source *from)
{
	s->from = *from;
	s->known = true;
	return too_many(all, s);
}

void strangers_remove(struct strangers *all, struct stranger *s)
{
	if (!s->counted)
		return;
	s->counted = false;
	DL_DELETE(all->oldest, s);
	all->count--;
}

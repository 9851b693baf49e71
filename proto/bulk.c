/* SPDX-License-Identifier: MIT */
/* Which streams carry bulk: whoever has several channels puts new streams
 * elsewhere. A page's images are no bulk, a download at 64 kB/s is. */
#include <utlist.h>

#include "proto/stream.h"

#define BULK_BYTES (256 * 1024) /* so much in one slot is bulk */
#define SLOT_MS    4000
#define STAY_MS    5000 /* and so long afterwards */

/* The list is in the order of bulk_at: who is in it longest goes first. */
void stream_moved(struct stream *s, uint32_t n)
{
	struct mux *m = s->mux;

	if (m->now - s->slot >= SLOT_MS) {
		s->slot = m->now;
		s->moved = 0;
	}
	if (s->moved < BULK_BYTES)
		s->moved += n;
	if (s->moved < BULK_BYTES || (s->bulk && s->bulk_at == m->now))
		return;
	stream_unbulk(s);
	s->bulk = true;
	s->bulk_at = m->now;
	m->nbulk++;
	DL_APPEND2(m->bulks, s, bulk_prev, bulk_next);
}

void stream_unbulk(struct stream *s)
{
	if (!s->bulk)
		return;
	s->bulk = false;
	s->mux->nbulk--;
	DL_DELETE2(s->mux->bulks, s, bulk_prev, bulk_next);
}

unsigned int mux_bulk(struct mux *m)
{
	while (m->bulks && m->now - m->bulks->bulk_at > STAY_MS)
		stream_unbulk(m->bulks);
	return m->nbulk;
}

/* SPDX-License-Identifier: MIT */
/*
 * A web site of plain files as an end: what is sent to it are requests, what
 * it delivers are the answers, in order. It keeps connections for 60 seconds.
 *
 *	ASKED	  a request comes
 *	ANSWERING its answer goes out, as fast as it is read; requests wait
 *	OVER	  behind the last answer: eof, and what still comes is dropped
 */
#ifndef MODES_STATIC_H
#define MODES_STATIC_H

#include "core/worker.h"
#include "proto/end.h"

/* OPEN; files below folder (core/folder.h), which must stay. NULL: no
 * memory. */
struct end *static_open(struct worker *w, int folder);

#endif

/* SPDX-License-Identifier: MIT */
/* From a member to the object that it is part of. */
#ifndef PROTO_CONTAINER_H
#define PROTO_CONTAINER_H

#include <stddef.h>

#define container_of(p, type, field) \
	((type *)((char *)(p)-offsetof(type, field)))

#endif

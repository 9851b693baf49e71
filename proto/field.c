/* SPDX-License-Identifier: MIT */
#include "proto/field.h"

#include <string.h>

static void collect(char *to, size_t size, size_t *len, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++, (*len)++)
		if (*len < size - 1)
			to[*len] = p[i];
}

void field_name(struct field *f, const char *p, size_t n)
{
	collect(f->name, sizeof(f->name), &f->name_len, p, n);
}

void field_value(struct field *f, const char *p, size_t n)
{
	collect(f->value, sizeof(f->value), &f->value_len, p, n);
}

void field_end(struct field *f)
{
	size_t name = f->name_len, value = f->value_len;

	f->whole = name < sizeof(f->name) && value < sizeof(f->value);
	if (name >= sizeof(f->name))
		name = 0;
	if (value >= sizeof(f->value))
		value = 0;
	while (value &&
	       (f->value[value - 1] == ' ' || f->value[value - 1] == '\t'))
		value--;
	f->name[name] = 0;
	f->value[value] = 0;
	if (strlen(f->value) != value)
		f->whole = false;
	f->name_len = f->value_len = 0;
}

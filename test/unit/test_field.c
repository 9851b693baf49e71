/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/field.h"

static void pieces_are_joined(void **state)
{
	struct field f = {.name_len = 0};

	(void)state;
	for (int i = 0; i < 2; i++) { /* the second one begins anew */
		field_name(&f, "Na", 2);
		field_name(&f, "me", 2);
		field_value(&f, "a va", 4);
		field_value(&f, "lue \t ", 6);
		field_end(&f);
		assert_true(f.whole);
		assert_string_equal(f.name, "Name");
		assert_string_equal(f.value, "a value");
	}
	field_name(&f, "N", 1);
	field_end(&f);
	assert_true(f.whole);
	assert_string_equal(f.name, "N");
	assert_string_equal(f.value, "");
}

static void what_does_not_fit_is_known(void **state)
{
	struct field f = {.name_len = 0};
	char text[FIELD_VALUE_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	field_name(&f, text, FIELD_NAME_MAX - 1);
	field_value(&f, text, FIELD_VALUE_MAX - 1);
	field_end(&f);
	assert_true(f.whole);
	assert_int_equal(strlen(f.value), FIELD_VALUE_MAX - 1);
	field_name(&f, "n", 1);
	field_value(&f, text, FIELD_VALUE_MAX);
	field_end(&f);
	assert_false(f.whole);
	assert_string_equal(f.name, "n");
	assert_string_equal(f.value, "");
	field_name(&f, text, FIELD_NAME_MAX);
	field_end(&f);
	assert_false(f.whole);
	assert_string_equal(f.name, "");
	field_name(&f, "n", 1);
	field_value(&f, "a\0b", 3);
	field_end(&f);
	assert_false(f.whole);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_joined),
		cmocka_unit_test(what_does_not_fit_is_known),
	};

	return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}

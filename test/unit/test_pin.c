/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pin.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EMPTY    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define HEX                                \
	"e3b0c44298fc1c149afbf4c8996fb924" \
	"27ae41e4649b934ca495991b7852b855"

static void what_is_a_pin(void **state)
{
	static const char *const good[] = {
		"sha256:" EMPTY,
		"sha256//" EMPTY,
		"sha256:" HEX,
		"sha256//" HEX,
		"sha256:E3B0C44298FC1C149AFBF4C8996FB924"
		"27AE41E4649B934CA495991B7852B855",
	};
	static const char *const bad[] = {
		"",
		EMPTY,
		"sha256:",
		"sha256/" EMPTY,
		"SHA256:" EMPTY,
		"sha1:" EMPTY,
		"sha256:" EMPTY "=",
		"sha256:" EMPTY "\n",
		"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
		"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==",
		"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",
		"sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
		"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu\r\n=",
		"sha256:" HEX "0",
		"sha256:g3b0c44298fc1c149afbf4c8996fb924"
		"27ae41e4649b934ca495991b7852b855",
	};
	struct pin pin, empty;
	char text[PIN_TEXT_MAX];

	(void)state;
	assert_true(pin_of((const uint8_t *)"", 0, &empty));
	assert_string_equal(pin_format(&empty, text), "sha256:" EMPTY);
	for (size_t i = 0; i < COUNT(good); i++) {
		memset(&pin, 0, sizeof(pin));
		if (!pin_parse(good[i], &pin))
			fail_msg("%s", good[i]);
		assert_memory_equal(&pin, &empty, sizeof(pin));
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (pin_parse(bad[i], &pin))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_pin),
	};

	return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}

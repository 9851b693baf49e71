#!/bin/sh
# SPDX-License-Identifier: MIT
# make lint: the layers of docs/architecture.md, the format, the size of files
# and functions, and what cppcheck finds.
cd "$(dirname "$0")/.." || exit 1
bad=$(mktemp) # a file: a pipe's end is a process of its own
trap 'rm -f "$bad"' EXIT

# complain TEXT: what stdin says is wrong
complain() {
	found=$(cat)
	[ -z "$found" ] && return
	echo "$1:"
	echo "$found"
	echo "$1" >>"$bad"
}

grep -nE '#include [<"](uv|ares)\.h' -r proto |
	complain 'proto/ does no I/O'
grep -nE '#include <mbedtls/(ssl|net|x509|entropy|ctr_drbg)' -r proto |
	complain 'proto/ does no I/O'
grep -nE '#include "(core|modes)/' -r proto | complain 'proto/ looks up'
grep -nE '#include "modes/' -r core | complain 'core/ looks up'
grep -nE '\b(uv|mbedtls|ares)_[a-z_]+\(' -r modes wsp.c |
	complain 'libuv, mbedTLS and c-ares live in core/'

grep -nE '\b(time|gettimeofday|clock_gettime|uv_clock_gettime)\(' \
	-r core modes proto wsp.c | grep -vE '^(core/log|modes/static)\.c:' |
	complain 'timers run by worker_now(): the clock on the wall jumps'

for f in wsp.c proto/*.[ch] core/*.[ch] modes/*.[ch] test/*/*.[ch]; do
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f"
done | complain 'no license line'
awk 'FNR == 1 { start = 0 }
	/^[a-zA-Z_].*[)]( [{])?$/ { start = FNR }
	/^}/ && start {
		if (FNR - start > 60)
			print FILENAME ":" start ": " FNR - start " lines"
		start = 0
	}' proto/*.c core/*.c modes/*.c wsp.c | complain 'a function of over 60 lines'
wc -l proto/*.[ch] core/*.[ch] modes/*.[ch] | awk '$2 != "total" && $1 > 600' |
	complain 'a file of over 600 lines'
find test/fuzz/seeds -type f | grep -E '/[0-9a-f]{40}$' | head -n 5 |
	complain 'what a fuzzer has found is no seed: give it a name, or remove it'

if command -v clang-format >/dev/null; then
	clang-format --dry-run -Werror wsp.c ./*/*.[ch] test/*/*.[ch] 2>&1 |
		grep -E 'error:' | head -n 20 | complain 'make format is due'
else
	echo 'clang-format is missing: sh vendor/install test'
	echo missing >>"$bad"
fi
if command -v cppcheck >/dev/null; then
	cppcheck --quiet --std=c11 --inline-suppr -j 2 -I . \
		--enable=warning,performance,portability \
		--include=/usr/include/uthash.h --include=/usr/include/utlist.h \
		--suppress=missingIncludeSystem --suppress=uninitvar:proto/mux.c \
		--error-exitcode=0 proto core modes wsp.c 2>&1 |
		complain cppcheck
else
	echo 'cppcheck is missing: sh vendor/install test'
	echo missing >>"$bad"
fi
if [ -x build/wsp ]; then
	build/wsp help markdown | cmp -s - docs/options.md &&
		build/wsp help man | cmp -s - docs/wsp.1 ||
		echo 'docs/options.md, docs/wsp.1' |
		complain 'make docs is due'
fi
[ ! -s "$bad" ]

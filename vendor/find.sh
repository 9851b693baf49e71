#!/bin/sh
# SPDX-License-Identifier: MIT
# Find the libraries. Prints make variables; if one is missing, one line on
# stderr that says which and what installs it, and exit 1.
#
#	LIB_CFLAGS	where the headers are
#	LIBS		what to link
#	GCM_CFLAGS	which libraries for AES-GCM may be loaded at run time: none
#			is needed, see core/gcm.h
#	LLHTTP_DIR	sources of llhttp that have to be compiled (Debian 12)
#	NANOPB		the generator
#
# CC is honoured. Nothing is downloaded here; see vendor/install.
set -u
cc=${CC:-cc}
cflags= libs= gcm_cflags= llhttp_dir=

missing() {
	echo "wsp needs $1, which was not found: run 'sh vendor/install'" >&2
	exit 1
}

# Does a program with this header compile, with these flags?
has_header() {
	printf '#include <stddef.h>\n#include <%s>\n' "$1" |
		"$cc" ${2:-} -fsyntax-only -x c - 2>/dev/null
}

command -v "$cc" >/dev/null 2>&1 || missing "a C compiler ($cc)"
command -v pkg-config >/dev/null 2>&1 || missing pkg-config

# Those that pkg-config knows: name, what it is called there.
for lib in 'libuv libuv' 'c-ares libcares' 'jansson jansson'; do
	set -- $lib
	pkg-config --exists "$2" 2>/dev/null || missing "$1"
	cflags="$cflags $(pkg-config --cflags "$2")"
	libs="$libs $(pkg-config --libs "$2")"
done

# Those that have only headers and a name.
has_header mbedtls/ssl.h || missing mbedTLS
has_header wslay/wslay.h || missing wslay
has_header uthash.h || missing uthash
libs="$libs -lmbedtls -lmbedx509 -lmbedcrypto -lwslay -lprotobuf-nanopb"

# Only their headers: they are loaded when they are there.
has_header intel-ipsec-mb.h && gcm_cflags="$gcm_cflags -DHAVE_IPSEC_MB"
has_header gcrypt.h && gcm_cflags="$gcm_cflags -DHAVE_GCRYPT"

# crypt_r(): a library beside glibc, part of musl.
calls_crypt() {
	printf '#include <crypt.h>\n%s\n' 'static struct crypt_data d;
		int main(void) { return !crypt_r("", "", &d); }' |
		"$cc" -D_GNU_SOURCE -x c - ${1:-} -o /dev/null 2>/dev/null
}
if ! calls_crypt; then
	calls_crypt -lcrypt || missing libcrypt
	libs="$libs -lcrypt"
fi

# nanopb: <pb.h> on Debian 12, in a folder of its own on 13.
if ! has_header pb.h; then
	has_header pb.h -I/usr/include/nanopb || missing nanopb
	cflags="$cflags -I/usr/include/nanopb"
fi
nanopb=$(command -v nanopb_generator || command -v nanopb_generator.py) ||
	missing "nanopb's generator"

# llhttp: a library on Debian 13, sources inside node-llhttp on 12.
if has_header llhttp.h; then
	libs="$libs -lllhttp"
elif [ -f /usr/share/llhttp/llhttp.c ]; then
	llhttp_dir=/usr/share/llhttp
	cflags="$cflags -I/usr/share/include/llhttp"
else
	missing llhttp
fi

echo "LIB_CFLAGS := $cflags"
echo "LIBS := $libs"
echo "GCM_CFLAGS :=$gcm_cflags"
echo "LLHTTP_DIR := $llhttp_dir"
echo "NANOPB := $nanopb"

/* SPDX-License-Identifier: MIT */
#include "core/version.h"

#include <jansson.h>
#include <llhttp.h>
#include <pb.h>
#include <uv.h>
#include <wslay/wslay.h>

#include "core/resolve.h"
#include "core/sandbox.h"
#include "core/tls.h"

void version_print(FILE *out)
{
	fprintf(out, "wsp %s\n", WSP_VERSION);
	fprintf(out, "libuv %s\n", uv_version_string());
	fprintf(out, "wslay %s\n", WSLAY_VERSION);
	fprintf(out, "%s\n", NANOPB_VERSION);
	fprintf(out, "mbedTLS %s\n", tls_version());
	fprintf(out, "AES-GCM by %s\n", tls_gcm());
	fprintf(out, "llhttp %d.%d.%d\n", LLHTTP_VERSION_MAJOR,
		LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
	fprintf(out, "c-ares %s\n", resolve_version());
	fprintf(out, "sandbox by %s\n", sandbox_offer());
	fprintf(out, "jansson %s\n", JANSSON_VERSION);
}

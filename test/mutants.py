#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make mutants: faults of one line, each in a copy of the source, and for each
the test that must fail. A fault that no test notices is a hole in the tests.

    test/mutants.py [NAME...]    only these
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

SIM = "sim"
E2E = "test/e2e/"
GOWSP = "test/interop/test_gowsp.py::"
NATIVE = "test/interop/test_native.py::"
ECHO = "test/interop/test_echo.py::"

# name, file, the line as it is, the line as it must not be, the test: "sim",
# the name of a unit test's program, or what pytest calls it.
MUTANTS = [
    ("fin-before-the-last-byte", "proto/stream.c",
     "	return s->queue.head ? stream_pull_data(s) : pull_fin(s);",
     "	return s->tx == HALF_OPEN ? stream_pull_data(s) : pull_fin(s);",
     SIM),
    ("credit-never-given-back", "proto/credit.c",
     "	s->give += back;", "	s->give += 0 * back;",
     NATIVE + "test_credit_comes_back_for_what_has_left"),
    ("credit-given-back-twice", "proto/window.h",
     "	w->credit += give;\n	return give;",
     "	w->credit += give;\n	return 2 * give;", SIM),
    ("window-never-grows", "proto/credit.c",
     "		s->win.blocked = true;", "		s->win.blocked = false;",
     NATIVE + "test_blocked_windows_grow_fourfold"),
    ("promise-not-checked", "proto/window.h",
     "	if (n > w->credit)\n		return false;",
     "	if (n > w->credit)\n		n = w->credit;",
     NATIVE + "test_more_than_the_credit_is_a_protocol_error"),
    ("credit-not-kept", "proto/stream.c",
     "	if (native(s))\n		s->credit -= b->len;",
     "	if (native(s))\n		s->credit -= 0;",
     NATIVE + "test_the_server_keeps_within_our_credit"),
    ("budget-not-given-back", "proto/stream.c",
     "	budget_give(m->config.budget, s->win.size);",
     "	budget_give(m->config.budget, s->win.size / 2);", SIM),
    ("reset-sent-as-fin", "proto/msg.c",
     "	return sealed(b, id, id_len, WspCmd_INTERRUPT);",
     "	if (b)\n		b->len = 0;\n"
     "	return sealed(b, id, id_len, WspCmd_TRANSFER);",
     E2E + "test_ends.py::test_a_reset_of_the_app_reaches_the_target"),
    ("eof-of-libuv-believed", "core/conn.c",
     "	if (!c->failed && socket_is_reset(&c->tcp, c->fin))\n		c->failed",
     "	if (0 && socket_is_reset(&c->tcp, c->fin))\n		c->failed",
     E2E + "test_ends.py::test_a_reset_of_the_app_reaches_the_target"),
    ("linger-not-set", "core/socket.c",
     "	struct linger l = {.l_onoff = on, .l_linger = 0};",
     "	struct linger l = {.l_onoff = on && 0, .l_linger = 0};",
     E2E + "test_ends.py::test_a_kill_resets_idle_connections_too"),
    ("half-close-closes-both", "core/relay.c",
     "	if (r->flushed[0] && r->flushed[1])",
     "	if (r->flushed[0] || r->flushed[1])",
     E2E + "test_ends.py::test_app_finishes_first_and_still_gets_the_answer"),
    ("tunnel-down-is-a-clean-end", "proto/stream.c",
     "		up->dead(&s->end, why, NULL);",
     "		up->eof(&s->end);",
     NATIVE + "test_a_close_resets_the_application"),
    ("token-not-checked", "modes/server.c",
     "	if (!token_equal(req->token, o->token))",
     "	if (0 && !token_equal(req->token, o->token))",
     E2E + "test_tls.py::test_tokens_are_compared"),
    ("origin-not-checked", "modes/server.c",
     "	if (req->has_origin && !o->allow_origin)",
     "	if (req->has_origin && o->allow_origin)",
     E2E + "test_tls.py::test_the_server_checks_path_origin_token_version"),
    ("mask-off-by-one", "proto/mask.c",
     "		turned[k] = key[(at + k) % 4];",
     "		turned[k] = key[(at + k + 1) % 4];", "test_ws"),
    ("fast-lane-forgets-where-it-is", "proto/ws.c",
     "	w->at += n;", "	w->at += 0;", "test_ws"),
    ("minimal-length-not-checked", "proto/ws.c",
     "	*minimal = bytes == 2 ? n > 125",
     "	*minimal = bytes == 2 ? n > 0",
     ECHO + "test_a_length_that_is_not_minimal"),
    ("message-limit-not-checked", "proto/ws.c",
     "		return w->left > w->config.max_message - before",
     "		return w->left > UINT64_MAX / 2 - before",
     "test_ws"),
    ("pongs-without-bound", "proto/ws.h",
     "#define WS_PONGS_MAX  8", "#define WS_PONGS_MAX  80000", "test_ws"),
    ("envelope-length-wrong", "proto/msg.c",
     "		n += put_varint(head + n, b->len);",
     "		n += put_varint(head + n, b->len + 1u);", "test_msg"),
    ("duplicate-id-taken", "proto/mux.c",
     "	s = s ? NULL : add(m, m->msg->id, m->msg->id_len);",
     "	s = add(m, m->msg->id, m->msg->id_len);",
     NATIVE + "test_an_id_in_use_is_refused_and_the_stream_lives"),
    ("egress-rule-skipped", "modes/connect.c",
     "	return egress_allows(c->all->egress, host, sa);",
     "	return egress_allows(c->all->egress, host, sa) || c;",
     E2E + "test_tls.py::test_egress_rules"),
    ("mapped-address-not-seen", "modes/egress.c",
     "	unwrap(ip);", "	(void)unwrap;",
     E2E + "test_tls.py::test_egress_rules"),
    ("certificate-name-not-verified", "core/tlsctx.c",
     "		return mbedtls_ssl_set_hostname(ssl, host);",
     "		return mbedtls_ssl_set_hostname(ssl, NULL);",
     E2E + "test_tls.py::test_certificates_are_verified"),
    ("truncated-tls-is-a-clean-end", "core/tls.c",
     "t->lower_eof && t->max && !t->closed",
     "0 && t->lower_eof && t->max && !t->closed",
     NATIVE + "test_a_tls_connection_that_is_cut_is_a_reset"),
    ("second-request-passed-on", "proto/http1.c",
     "	if (h->complete || h->broken || n == 0)\n		return 0;",
     "	if (h->complete || h->broken || n == 0)\n		return n;",
     "test_http1"),
    ("proxy-fields-passed-on", "proto/http1.c",
     "is(name, \"te\") || starts(name, \"proxy-\"))",
     "is(name, \"te\"))",
     "test_http1"),
    ("early-data-dropped", "modes/session.c",
     "		good &= bufq_keep(&s->early, b, &s->all->worker->pool);",
     "		buf_free(b);",
     E2E + "test_proxies.py::test_bytes_behind_the_request_are_kept"),
    ("dead-peer-never-noticed", "core/websocket.c",
     "	if (silent >= DEAD_MS) {", "	if (silent >= 1000 * DEAD_MS) {",
     E2E + "test_reconnect.py::test_a_silent_peer_is_dead_within_45_seconds"),
    ("no-answer-to-a-refused-dial", "modes/connect.c",
     "	stream_refuse(c->stream, why);\n	connect_free(c);",
     "	end_drop(c->stream, REASON_INTERNAL);\n	connect_free(c);",
     E2E + "test_proxies.py::test_refusals_have_their_codes"),
    ("gowsp-not-waited-for", "proto/gowsp.c",
     "	enter_for(s, GOWSP_HOLD, HOLD_MS);", "	enter(s, GOWSP_KNOWN);",
     GOWSP + "test_nothing_is_lost_by_a_target_that_speaks_first"),
    ("gowsp-end-without-a-fence", "proto/gowsp.c",
     "	if (!fence)\n		return pull_end(s);",
     "	if (fence) {\n		buf_free(fence);\n"
     "		return pull_end(s);\n	}",
     GOWSP + "test_nothing_is_lost_by_a_target_that_speaks_first"),
    ("gone-tunnel-drops-what-it-holds", "proto/mux.c",
     "	if (s->state != STREAM_DEAD && !stream_complete(s))",
     "	if (s->state != STREAM_DEAD)",
     E2E + "test_ends.py::test_term_cuts_nothing_that_was_sent"),
    ("upgrade-not-waited-for", "proto/http1.c",
     "	if (h->connect || h->granted)\n		return n;\n	if (h->complete",
     "	if (h->connect || h->upgrade)\n		return n;\n	if (h->complete",
     "test_http1"),
]


def sh(argv, cwd, timeout=300, env=None):
    try:
        return subprocess.run(argv, cwd=cwd, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace",
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, -1, str(e.output))


def copy():
    d = tempfile.mkdtemp(prefix="wsp-mutant-")
    for name in ("Makefile", "wsp.c", "proto", "core", "modes", "vendor",
                 "test", "docs", "build"):
        src = os.path.join(ROOT, name)
        if os.path.isdir(src):
            shutil.copytree(src, os.path.join(d, name),
                            copy_function=shutil.copy2,
                            ignore=shutil.ignore_patterns("san", "fuzz",
                                                          "corpus")
                            if name == "build" else None)
        elif os.path.exists(src):
            shutil.copy2(src, d)
    return d


def command(test, d):
    if test == SIM:
        return ["build/sim/mux_sim", "1", "20000", "20"]
    if "/" not in test:
        return [f"build/unit/{test}"]
    return [sys.executable, "-m", "pytest", "-q", "-x", "-p",
            "no:cacheprovider", test]


def target(test):
    if test == SIM:
        return "build/sim/mux_sim"
    return f"build/unit/{test}" if "/" not in test else "all"


def try_one(mutant):
    """None: noticed; else what went wrong."""
    name, path, old, new, test = mutant
    d = copy()
    try:
        file = os.path.join(d, path)
        with open(file) as f:
            text = f.read()
        if text.count(old) != 1:
            return f"{path} has this line {text.count(old)} times"
        with open(file, "w") as f:
            f.write(text.replace(old, new))
        built = sh(["make", "-j1", target(test)], d)
        if built.returncode:
            return "does not compile:\n" + built.stdout[-2000:]
        if sh(command(test, d), d, 120).returncode == 0:
            return f"{test} did not notice"
        return None
    finally:
        shutil.rmtree(d, ignore_errors=True)


def main():
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m[0] in sys.argv[1:]]
    built = sh(["make", "tests"], ROOT, 600)
    if built.returncode:
        sys.exit(built.stdout)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for m, wrong in zip(chosen, pool.map(try_one, chosen)):
            print(f"{'FAILED' if wrong else 'ok':7}{m[0]}"
                  f"{': ' + wrong if wrong else ''}", flush=True)
            failed += wrong is not None
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

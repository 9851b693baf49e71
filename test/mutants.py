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
     NATIVE + "test_blocked_windows_grow_sixteenfold"),
    ("promise-not-checked", "proto/window.h",
     "	if (n > w->credit)\n		return false;",
     "	if (n > w->credit)\n		n = w->credit;",
     NATIVE + "test_more_than_the_credit_is_a_protocol_error"),
    ("credit-not-kept", "proto/stream.c",
     "	if (native(s))\n		s->credit -= b->len;",
     "	if (native(s))\n		s->credit -= 0;",
     NATIVE + "test_the_server_keeps_within_our_credit"),
    ("budget-not-given-back", "proto/stream.c",
     "	budget_give(m->config.budget, plain);",
     "	budget_give(m->config.budget, plain / 2);", SIM),
    ("reset-sent-as-fin", "proto/msg.c",
     "	return sealed(b, id, id_len, WspCmd_INTERRUPT);",
     "	if (b)\n		b->len = 0;\n"
     "	return sealed(b, id, id_len, WspCmd_TRANSFER);",
     E2E + "test_ends.py::test_a_reset_of_the_app_reaches_the_target"),
    ("eof-of-libuv-believed", "core/conn.c",
     "	if (err && err != UV_EPIPE) {", "	if (0 && err != UV_EPIPE) {",
     E2E + "test_ends.py::test_a_reset_of_the_app_reaches_the_target"),
    ("linger-not-set", "core/socket.c",
     "	struct linger l = {.l_onoff = on, .l_linger = 0};",
     "	struct linger l = {.l_onoff = on && 0, .l_linger = 0};",
     E2E + "test_ends.py::test_a_kill_resets_idle_connections_too"),
    ("socket-file-open-to-all", "core/sockfile.c",
     "	return chmod(path, access->mode) ? strerror(errno) : NULL;",
     "	return chmod(path, 0666) ? strerror(errno) : NULL;", "test_sockfile"),
    ("socket-in-use-replaced", "core/sockfile.c",
     "	return err == ECONNREFUSED;", "	return err != EINVAL;",
     "test_sockfile"),
    ("anybody-may-say-whom-he-speaks-for", "modes/trust.c",
     "	if (!trusts_peer(t, peer))", "	if (0 && !trusts_peer(t, peer))",
     "test_trust"),
    ("proxy-header-takes-too-much", "proto/proxyproto.c",
     "	return p->buf[p->len - 1] == '\\r' ? 1 : 2;", "	return 2;",
     "test_proxyproto"),
    ("half-close-closes-both", "core/relay.c",
     "	if (r->flushed[0] && r->flushed[1])",
     "	if (r->flushed[0] || r->flushed[1])",
     E2E + "test_ends.py::test_app_finishes_first_and_still_gets_the_answer"),
    ("tunnel-down-is-a-clean-end", "proto/stream.c",
     "		up->dead(&s->end, why, NULL);",
     "		up->eof(&s->end);",
     NATIVE + "test_a_close_resets_the_application"),
    ("token-not-checked", "modes/visitor.c",
     "	m = roster_find(v->all->roster, req->token);",
     "	m = v->all->roster->members;",
     E2E + "test_tls.py::test_tokens_are_compared"),
    ("rules-of-a-token-ignored", "modes/roster.c",
     "	       egress_also_allows(m->rules, m->nrules, host, sa);",
     "	       egress_also_allows(m->rules, 0, host, sa);",
     E2E + "test_tokens.py::"
     "test_rules_of_a_token_narrow_those_of_the_server"),
    ("streams-of-a-name-never-end", "core/meter.c",
     "	usage_close(m->usage, USAGE_STREAMS);", "	;",
     E2E + "test_tokens.py::"
     "test_streams_of_a_name_are_limited_over_all_workers"),
    ("rate-not-kept", "proto/usage.c",
     "	return atomic_load(&u->rate) && paid > now ? paid - now : 0;",
     "	return 0 * (paid > now);", "test_usage"),
    ("hash-of-nothing-taken", "proto/tokenline.c",
     "	if (!token_digest(\"\", nothing) || token_same(nothing, out->digest))",
     "	if (!token_digest(\"\", nothing))", "test_tokenline"),
    ("token-that-is-gone-still-good", "modes/visitor.c",
     "		if (!v->pass.member || pass_renew(&v->pass, all->roster))",
     "		if (v->up || pass_renew(&v->pass, all->roster))",
     E2E + "test_reload.py::test_who_loses_the_token_is_cut_off"),
    ("bad-file-counts", "modes/reload.c",
     "		good = r && roster_copy(r, a->old, true);",
     "		good = r;",
     E2E + "test_reload.py::test_bad_files_leave_the_old_ones_in_force"),
    ("ticket-outlives-its-authority", "modes/desks.c",
     "	config.like = tls->client_ca ? NULL : all->list[0].visitors.tls;",
     "	config.like = all->list[0].visitors.tls;",
     E2E + "test_reload.py::test_tickets_do_not_outlive_a_client_ca"),
    ("token-file-open-to-all", "modes/tokenfile.c",
     "	       fchmod(fd, t->st.st_mode & 07777) == 0;",
     "	       fchmod(fd, 0644) == 0;",
     E2E + "test_token.py::"
     "test_a_file_for_the_server_and_a_token_for_the_client"),
    ("origin-not-checked", "modes/visitor.c",
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
    ("certificate-name-not-verified", "core/tlspeer.c",
     "set_hostname(ssl, is_address(host) ? NULL : host);",
     "set_hostname(ssl, NULL);",
     E2E + "test_tls.py::test_certificates_are_verified"),
    ("pins-not-compared", "core/tlspeer.c",
     "		if (memcmp(&p->ctx->pins[i],",
     "		if (1 || memcmp(&p->ctx->pins[i],",
     E2E + "test_trust.py::test_a_wrong_pin_says_the_right_one"),
    ("clients-need-no-certificate", "core/tlsctx.c",
     "	mbedtls_ssl_conf_authmode(&ctx->conf, MBEDTLS_SSL_VERIFY_REQUIRED);",
     "	mbedtls_ssl_conf_authmode(&ctx->conf, MBEDTLS_SSL_VERIFY_NONE);",
     E2E + "test_trust.py::test_client_certificates"),
    ("lost-addresses-not-noticed", "core/netwatch.c",
     "		if (errno == EADDRNOTAVAIL)", "		if (errno == EPERM)",
     E2E + "test_network.py::test_a_tunnel_without_its_address_is_dialled_"
     "anew"),
    ("tls-in-tls-overwrites-its-input", "core/tls.c",
     "	if (e->ops == &tls_ops)", "	if (!e->ops)",
     E2E + "test_upstream.py::test_through_a_proxy_over_tls"),
    ("truncated-tls-is-a-clean-end", "core/tls.c",
     "t->lower_eof && t->max && !t->closed",
     "0 && t->lower_eof && t->max && !t->closed",
     NATIVE + "test_a_tls_connection_that_is_cut_is_a_reset"),
    ("second-request-passed-on", "proto/body.c",
     "		n = (size_t)(llhttp_get_error_pos(&b->parser) - p);",
     "		n += 0;", "test_http1"),
    ("proxy-fields-passed-on", "proto/fields.c",
     "	if (span_starts(name, \"proxy-\") && ",
     "	if (span_starts(name, \"prox-\") && ", "test_http1"),
    ("early-data-dropped", "modes/ask.c",
     "		kept &= bufq_keep(&a->early, b, &a->all->worker->pool);",
     "		buf_free(b);",
     E2E + "test_reconnect.py::"
     "test_what_arrives_early_is_kept_until_the_tunnel_is_up"),
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
    ("gowsp-messages-too-long", "proto/mux.h",
     "#define MUX_DATA_GOWSP   (32 * 1024)",
     "#define MUX_DATA_GOWSP   (64 * 1024)",
     GOWSP + "test_no_message_to_a_server_is_too_long"),
    ("gowsp-old-clients-refused", "proto/upgrade.c",
     "	u->req.proto_ok = true;", "	u->req.proto_ok = false;",
     GOWSP + "test_clients_of_all_versions_are_served"),
    ("gowsp-tunnel-taken-for-a-proxy", "modes/options_gowsp.c",
     "	if (memchr(at, '@', n)) {",
     "	while (memchr(at, '@', n)) {\n		at++;\n		n--;\n	}\n"
     "	if (!n) {", "test_options_gowsp"),
    ("gowsp-second-entry-lost", "modes/options_gowsp.c",
     "		if (e == first || !listens(e)) {",
     "		if (e != first || !listens(e)) {", "test_options_gowsp"),
    ("gowsp-file-opens-the-proxy", "modes/options_read.c",
     "		if (strcmp(a->host, \"*\") != 0)\n			continue;",
     "		continue;", "test_options_gowsp"),
    ("ready-before-all-are-up", "modes/ready.c",
     "	if (r->missing == 0 || --r->missing)", "	if (r->done)",
     E2E + "test_gowsp_files.py::test_several_entries_all_run"),
    ("gone-tunnel-drops-what-it-holds", "proto/mux.c",
     "	if (s->state != STREAM_DEAD && !stream_complete(s))",
     "	if (s->state != STREAM_DEAD)",
     E2E + "test_ends.py::test_term_cuts_nothing_that_was_sent"),
    ("upgrade-not-asked-for", "proto/response.c",
     "	if (r->upgrade && !r->asked_upgrade)", "	if (0)",
     "test_response"),
    ("chunk-extension-passed-on", "proto/chunked.c",
     "	if (++c->extension > EXTENSION_MAX)\n"
     "		c->state = CHUNKED_BROKEN;\n	return false;",
     "	if (++c->extension > EXTENSION_MAX)\n"
     "		c->state = CHUNKED_BROKEN;\n	return true;", "test_http1"),
    ("connection-of-a-host-taken-for-another", "modes/origins.c",
     "	return a->port == b->port && strcmp(a->host, b->host) == 0;",
     "	return strcmp(a->host, b->host) == 0;",
     E2E + "test_proxies.py::test_each_request_goes_to_its_own_host"),
    ("cut-answer-taken-for-whole", "proto/response.c",
     "	if (r->final && r->body.kind == BODY_CLOSE)",
     "	if (r->final)", "test_response"),
    ("wrong-pair-remembered", "core/users.c",
     "	if (!status && job->why == REASON_DONE)", "	if (!status && job->user)",
     "test_users"),
    ("known-pair-never-forgotten", "core/users.c",
     "&user->forget, KNOWN_MS,", "&user->forget, 1000ull * KNOWN_MS,",
     "test_users"),
    ("given-up-check-joined", "core/users.c",
     "	if (job->asking && memcmp(job->digest",
     "	if (memcmp(job->digest", "test_users"),
    ("password-ends-with-nul", "proto/socks5.c",
     "	if (memchr(s->buf + 2, 0, n) || memchr(s->buf + 3 + n, 0, m)) {",
     "	if (0) {", "test_socks5"),
    ("data-behind-the-password-dropped", "modes/session.c",
     "		good &= bufq_keep(&s->kept, b, &s->all->worker->pool);",
     "		buf_free(b);",
     E2E + "test_users.py::"
     "test_what_follows_the_password_is_kept_at_any_split"),
    ("token-shown-to-the-site", "proto/gate.c",
     "	return g->held || g->matched ? g->line : g->bytes;",
     "	return g->bytes;",
     E2E + "test_backend.py::"
     "test_a_handshake_in_pieces_gets_in_and_the_token_stays_here"),
    ("wrong-token-noticed-late", "proto/gate.c",
     "	if (req->has_token && !g->rule.knows(g->rule.ctx, req->token))",
     "	if (0 && !g->rule.knows(g->rule.ctx, req->token))", "test_gate"),
    ("the-silent-have-no-site", "modes/backend.c",
     "	deadline_set(b->worker, &g->idle, IDLE_MS, on_idle);", "",
     E2E + "test_backend.py::test_nginx_is_all_that_anybody_sees"),
    ("end-before-a-reset-not-told", "core/conn.c",
     "	if (err && err != UV_EPIPE) {", "	if (err) {",
     E2E + "test_backend.py::test_an_end_with_a_reset_behind_it_is_an_end"),
    ("guests-take-all-sockets", "modes/backend.c",
     "b->worker->max_conns / SHARE)", "b->worker->max_conns)",
     E2E + "test_backend.py::test_idle_guests_keep_nobody_out"),
    ("closed-site-keeps-its-guest", "core/relay.c",
     "	if (r->moved == r->half_moved) {",
     "	if (0 && r->moved == r->half_moved) {",
     E2E + "test_backend.py::"
     "test_who_stays_behind_a_site_that_has_closed_is_let_go"),
    ("slow-clients-get-half-of-it", "modes/linger.c",
     "l->flushed ? REASON_DONE : REASON_TIMED_OUT", "REASON_TIMED_OUT",
     E2E + "test_http.py::"
     "test_a_client_that_is_slower_than_our_patience_gets_all"),
    ("slow-guests-get-half-of-it", "core/conn.c",
     "	    (c->eof || why == REASON_DONE))", "	    c->eof)",
     E2E + "test_backend.py::"
     "test_who_reads_slowly_gets_all_that_a_closed_site_has_sent"),
    ("guests-that-do-not-read-cost-much", "core/relay.c",
     "		n = n > waits ? n - waits : 0;", "		(void)waits;",
     E2E + "test_backend.py::test_who_does_not_read_costs_little"),
    ("links-followed", "core/folder.c",
     "#define FLAGS (O_NOFOLLOW | ", "#define FLAGS (", "test_folder"),
    ("new-streams-beside-bulk", "modes/pool.c",
     "		return a->bulk < b->bulk;", "		return a->bulk > b->bulk;",
     E2E + "test_pool.py::"
     "test_elastic_keeps_one_beside_bulk_on_a_long_way"),
    ("every-way-is-long", "modes/pool.c",
     "p->rtt_ms >= LONG_MS", "true",
     E2E + "test_pool.py::test_elastic_is_one_on_a_short_way"),
    ("no-wait-behind-a-stuck-stream", "modes/pool.c",
     "	if (!best || (least.choked && count(p, is_coming)))",
     "	if (!best)",
     E2E + "test_pool.py::"
     "test_a_stream_waits_when_all_others_are_stuck"),
    ("connections-stay-for-ever", "modes/pool.c",
     "	while (count(p, is_open) > most && (idle = idlest(p)))",
     "	while (0 > most && (idle = idlest(p)))",
     E2E + "test_pool.py::"
     "test_what_is_not_used_for_a_while_is_closed"),
    ("connection-closed-with-its-streams", "modes/pool.c",
     "	       load.streams == 0;", "	       load.streams < 2;",
     E2E + "test_pool.py::"
     "test_a_connection_with_streams_leaves_when_they_have_ended"),
    ("aside-that-cannot-go-is-lost", "proto/stream.c",
     "	if (s->queue.head != b)\n		return true;\n"
     "	bufq_get(&s->queue);\n	return false;",
     "	if (s->queue.head == b)\n		bufq_get(&s->queue);\n"
     "	return true;", SIM),
    ("waiting-for-the-channel-forgotten", "proto/stream.c",
     "		stream_note(s);\n		return NULL;",
     "		return NULL;", SIM),
    ("what-is-passed-not-counted", "proto/msg.c",
     "	m->left -= n;\n	if (m->left == 0)\n		m->state = AT_TAG;\n}",
     "	m->left -= n;\n}", SIM),
    ("pipe-keeps-what-nobody-wanted", "core/splice.c",
     "	while (s->aside.n && n > 0) {",
     "	s->aside.n = 0;\n	while (s->aside.n && n > 0) {", "test_splice"),
    ("pacing-between-local-sockets", "core/listen.c",
     "	if (socket_is_loopback(sa))", "	if (0)",
     E2E + "test_listen.py::test_nothing_is_paced_on_this_machine"),
    ("megabytes-in-front-of-small-streams", "core/socket.c",
     "	if (loopback)\n", "	if (0)\n",
     E2E + "test_listen.py::test_nothing_is_paced_on_this_machine"),
    ("new-streams-in-the-lane-with-bulk", "modes/lane.c",
     "		if (burden(l) < least &&", "		if (burden(l) > least &&",
     E2E + "test_lanes.py::test_what_is_opened_beside_bulk_goes_elsewhere"),
    ("lanes-never-sleep", "modes/lane.c",
     "		if (l->awake && unused && l->unused)", "		if (0)",
     E2E + "test_lanes.py::"
     "test_when_the_bulk_has_ended_the_first_is_used_again"),
    ("grace-is-for-the-first-worker", "modes/service.c",
     "	return s->waiting || s->ops->busy(s->ctx, 0);",
     "	return s->ops->busy(s->ctx, 0);",
     E2E + "test_lanes.py::"
     "test_who_has_asked_for_nothing_does_not_end_the_others"),
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

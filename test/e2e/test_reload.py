# SPDX-License-Identifier: MIT
"""HUP: files are read again, nobody is dropped but whose token is gone, and a
bad file changes nothing."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time

import native
import pytest

from harness import (FIN, RST, Target, count, echo_handler, recv_all, recv_exact, run,
                     socks_connect, socks_reply, socks_request)
from test_tokens import ALICE, BOB, line

SIZE = count(8 << 20, 64 << 20)
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def hup(p, times=1):
    """Until the process has said what it did."""
    for _ in range(times):
        before = p.log().count("HUP: read again") + \
            p.log().count("HUP: nothing")
        p.process.send_signal(signal.SIGHUP)
        until(lambda: p.log().count("HUP: read again") +
              p.log().count("HUP: nothing") > before)


def until(done):
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def stop(*processes):
    for p in processes:
        assert p.stop() == 0, p.log()
        assert "left behind" not in p.log()


def server_of(start, *args, **kw):
    return start("server", "--listen", "127.0.0.1:0", *args, **kw).ready()


def client_of(start, server, token="", *args, kind="ws"):
    host = "localhost" if kind == "wss" else "127.0.0.1"
    c = start("client", "--socks", "0", "--connections", "1", "--server",
              "%s://%s:%d/" % (kind, host, server.addr(kind)[1]), *args,
              env={"WSP_TOKEN": token} if token else {})
    c.expect("connected", 30)
    return c


def ask(client, target):
    with socket.create_connection(client.addr("socks"), 20) as s:
        s.sendall(b"\5\1\0" + socks_request(target))
        assert recv_exact(s, 2) == b"\5\0"
        return socks_reply(s)[0]


def connect_in_the_end(client, target):
    """When streams that were closed just now do not count any more."""
    end = time.monotonic() + 30
    while True:
        try:
            return socks_connect(client.addr("socks"), target)
        except AssertionError:
            assert time.monotonic() < end
            time.sleep(0.02)


def noise(n):
    """Bytes of which no part is like another."""
    return hashlib.shake_128(b"wsp").digest(n)


def hurry(client, says="the server answers 401"):
    """It has lost its tunnel, and would wait before it comes back."""
    client.wait_log("tunnel down", 30)
    client.process.send_signal(signal.SIGHUP)
    client.wait_log(says, 30)


class Download:
    """One that has begun, and goes on when it is asked to."""

    def __init__(self, client, target):
        self.s = socks_connect(client.addr("socks"), target, 60)
        self.head = recv_exact(self.s, 1 << 16)

    def rest(self):
        data, end = recv_all(self.s)
        self.s.close()
        return self.head + data, end


@contextlib.contextmanager
def source():
    data = noise(SIZE)

    def handler(s):
        with contextlib.suppress(OSError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            recv_all(s)
        s.close()

    with Target(handler) as t:
        t.data = data
        yield t


def echo_works(s):
    s.sendall(b"x" * 1000)
    return recv_exact(s, 1000) == b"x" * 1000


@WORKERS
def test_downloads_outlive_many_hups(start, certs, tmp_path, workers):
    """Over TLS, whose certificates and contexts are exchanged beneath them."""
    shutil.copy(certs["good"][0], tmp_path / "c.pem")
    shutil.copy(certs["good"][1], tmp_path / "k.pem")
    (tmp_path / "tokens").write_text(line("alice", ALICE) + line("bob", BOB))
    server = server_of(start, "--allow", "loopback", "--tokens",
                       tmp_path / "tokens", "--tls-cert", tmp_path / "c.pem",
                       "--tls-key", tmp_path / "k.pem", "--workers", workers)
    clients = [client_of(start, server, token, "--tls-ca", certs["ca"],
                         kind="wss") for token in (ALICE, BOB, ALICE)]
    with source() as t, Target(echo_handler) as echo:
        apps = [Download(c, t.addr) for c in clients for _ in range(2)]
        held = [socks_connect(c.addr("socks"), echo.addr) for c in clients]
        results = []
        threads = [threading.Thread(target=lambda d=d: results.append(
            d.rest())) for d in apps]
        for i, x in enumerate(threads):
            x.start()
            (tmp_path / "tokens").write_text(
                f"# {i}\n" + line("bob", BOB) + line("alice", ALICE))
            hup(server, 3)
        for x in threads:
            x.join()
        assert all(r == (t.data, FIN) for r in results) and len(results) == 6
        assert all(echo_works(s) for s in held)
        for s in held:
            s.close()
    assert server.log().count("read again: 2 tokens certificates") == 18
    assert server.log().count("tunnel up") == 3
    assert "tunnel down" not in server.log()
    stop(*clients, server)


def served(server, ca):
    """The name in the certificate that new connections are shown."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    with socket.create_connection(server.addr("wss"), 20) as raw, \
            context.wrap_socket(raw) as s:
        return dict(x[0] for x in s.getpeercert()["subject"])["commonName"]


@WORKERS
def test_a_new_certificate_is_for_new_connections(start, certs, tmp_path,
                                                  workers):
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"

    def install(name, which=(cert, key)):
        for to, file in zip((cert, key), certs[name]):
            if to in which:
                shutil.copy(file, to)

    install("good")
    server = server_of(start, "--tls-cert", cert, "--tls-key", key,
                       "--workers", workers)
    c = client_of(start, server, "", "--tls-ca", certs["ca"], kind="wss")
    assert served(server, certs["ca"]) == "good"
    install("name")
    hup(server)
    assert [served(server, certs["ca"]) for _ in range(4)] == ["name"] * 4
    # half of a pair: the old one stays, and one line says why
    for bad in (lambda: install("good", [cert]),
                lambda: key.write_text("-----BEGIN nothing"),
                lambda: cert.write_text(""),
                lambda: cert.unlink()):
        bad()
        seen = server.log().count("stays in force")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.log().count("stays in force") > seen)
        assert served(server, certs["ca"]) == "name"
    assert f"HUP: --tls-key {key}: not the key of --tls-cert; what" in \
        server.log()
    assert f"HUP: --tls-cert {cert}: No such file" in server.log()
    assert server.log().count("stays in force") == 4
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        assert echo_works(s)
        s.close()
    stop(c, server)


@WORKERS
def test_who_loses_the_token_is_cut_off(start, tmp_path, workers):
    file = tmp_path / "tokens"
    both = line("alice", ALICE) + line("bob", BOB)
    file.write_text(both)
    server = server_of(start, "--allow", "loopback", "--tokens", file,
                       "--workers", workers)
    alice = client_of(start, server, ALICE)
    bob = client_of(start, server, BOB)
    with source() as t, Target(echo_handler) as echo:
        a, b = Download(alice, t.addr), Download(bob, t.addr)
        quiet = socks_connect(alice.addr("socks"), echo.addr)
        assert echo_works(quiet)
        file.write_text(line("bob", BOB))
        hup(server)
        server.wait_log("(alice): tunnel down: its token is not in force")
        data, end = a.rest()
        assert end == RST and t.data.startswith(data)
        assert recv_all(quiet) == (b"", RST)
        quiet.close()
        assert b.rest() == (t.data, FIN)
        hurry(alice)
        # another token of the same name is not hers
        file.write_text(line("bob", BOB) + line("alice", ALICE + "2"))
        hup(server)
        assert "(bob): tunnel down" not in server.log()
        file.write_text(both)
        hup(server)
        alice.process.send_signal(signal.SIGHUP)
        alice.expect("connected", 60)
        s = socks_connect(alice.addr("socks"), echo.addr)
        assert echo_works(s)
        s.close()
    stop(alice, bob, server)


@WORKERS
def test_rules_and_limits_are_renewed(start, tmp_path, workers):
    tokens, config = tmp_path / "tokens", tmp_path / "wsp.json"
    with Target(echo_handler) as t, Target(echo_handler) as other:
        def write(settings, deny=()):
            tokens.write_text(line("alice", ALICE, *settings))
            config.write_text(json.dumps({
                "tokens": str(tokens), "listen": "127.0.0.1:0",
                "workers": workers, "allow": "loopback",
                "deny": ["127.0.0.1:%d" % a[1] for a in deny]}))

        write([])
        server = start("server", "--config", config).ready()
        alice = client_of(start, server, ALICE)
        held = socks_connect(alice.addr("socks"), t.addr)
        assert ask(alice, other.addr) == 0
        write([], deny=[other.addr])
        hup(server)
        assert "read again: rules 1 tokens" in server.log()
        assert ask(alice, other.addr) == 2 and ask(alice, t.addr) == 0
        write(["deny=any", "allow=127.0.0.1:%d" % other.addr[1]])
        hup(server)
        assert ask(alice, other.addr) == 0 and ask(alice, t.addr) == 2
        write(["streams=2"])
        hup(server)
        second = connect_in_the_end(alice, other.addr)
        assert ask(alice, t.addr) == 1
        write(["streams=3", "rate=64K"])
        hup(server)
        begin = time.monotonic()
        third = connect_in_the_end(alice, t.addr)
        third.sendall(bytes(128 << 10))
        assert recv_exact(third, 128 << 10) == bytes(128 << 10)
        assert time.monotonic() - begin > 1
        # those that had begun before are slower, too, and then not any more
        sending = threading.Thread(target=second.sendall,
                                   args=(bytes(4 << 20),))
        sending.start()
        recv_exact(second, 1000)
        write([])
        hup(server)
        assert recv_exact(second, (4 << 20) - 1000) == bytes((4 << 20) - 1000)
        assert time.monotonic() - begin < 50  # 64 at the rate of before
        sending.join()
        assert echo_works(held)
        for s in (held, second, third):
            s.close()
    stop(alice, server)


@WORKERS
def test_bad_files_leave_the_old_ones_in_force(start, tmp_path, workers):
    """One warning says which file it is, and why."""
    tokens, config = tmp_path / "tokens", tmp_path / "wsp.json"
    token = tmp_path / "token"
    good = line("alice", ALICE)

    with Target(echo_handler) as t, Target(echo_handler) as denied:
        rules = {"allow": "loopback", "deny": "127.0.0.1:%d" % denied.addr[1]}
        tokens.write_text(good)
        token.write_text(BOB + "\n")
        config.write_text(json.dumps(rules))
        server = server_of(start, "--config", config, "--tokens", tokens,
                           "--token-file", token, "--workers", workers)
        clients = [client_of(start, server, x) for x in (ALICE, BOB)]
        held = [socks_connect(c.addr("socks"), t.addr) for c in clients]

        def check(file, text, says):
            before = server.log().count("stays in force")
            was = file.read_text()
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            hup(server)
            assert server.log().count("stays in force") == before + 1
            assert says in server.log()
            assert f"{file}" in says or f"{file}:" in server.log()
            assert all(echo_works(s) for s in held)
            assert ask(clients[0], denied.addr) == 2
            assert ask(clients[1], t.addr) == 0
            file.write_text(was)

        check(tokens, good + "bob\n", f"HUP: --tokens {tokens}:2: behind")
        check(tokens, good + good, f"HUP: --tokens {tokens}:2: this ")
        check(tokens, None, f"HUP: --tokens {tokens}: No such file")
        check(token, "", f"HUP: --token-file {token}: the first line")
        check(token, None, f"HUP: --token-file {token}: cannot read")
        check(config, "{", f"HUP: --config {config}:1:")
        check(config, json.dumps({**rules, "deny": "10.0.0.0/77"}),
              f"HUP: --config {config} deny: ")
        check(config, None, f"HUP: --config ")
        for x in (ALICE, BOB):
            stop(client_of(start, server, x))
        for s in held:
            s.close()
    assert "tunnel down: its" not in server.log()
    stop(*clients, server)


def test_an_empty_file_lets_nobody_in(start, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(line("alice", ALICE))
    server = server_of(start, "--tokens", file)
    alice = client_of(start, server, ALICE)
    file.write_text("# all have gone\n")
    hup(server)
    server.wait_log("nobody gets in by it")
    server.wait_log("(alice): tunnel down")
    hurry(alice)
    r = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d/"
              % server.addr("ws")[1])
    assert r.wait() == 6
    stop(alice, server)


@WORKERS
def test_another_token_file_is_another_token(start, tmp_path, workers):
    file = tmp_path / "token"
    file.write_text(ALICE + "\n")
    server = server_of(start, "--token-file", file, "--workers", workers)
    old = client_of(start, server, ALICE)
    hup(server)
    file.write_text(BOB + "\n")
    assert "tunnel down" not in server.log()
    hup(server)
    server.wait_log("its token is not in force any more")
    hurry(old)
    new = client_of(start, server, BOB)
    stop(old, new, server)


def test_a_token_in_the_config_is_renewed(start, tmp_path):
    config = tmp_path / "wsp.json"
    config.write_text(json.dumps({"token": ALICE, "listen": "127.0.0.1:0"}))
    server = start("server", "--config", config).ready()
    old = client_of(start, server, ALICE)
    config.write_text(json.dumps({"listen": "127.0.0.1:0"}))
    hup(server)
    server.wait_log("there is no token in it any more; what")
    config.write_text(json.dumps({"token": BOB}))
    hup(server)
    hurry(old)
    stop(old, client_of(start, server, BOB), server)
    # one that another source has overruled stays so
    server = server_of(start, "--config", config, env={"WSP_TOKEN": ALICE})
    c = client_of(start, server, ALICE)
    hup(server)
    assert "tunnel down" not in server.log()
    stop(c, server)


def session(server, option, file, *args):
    r = run("openssl", "s_client", "-connect", "127.0.0.1:%d"
            % server.addr("wss")[1], "-tls1_2", option, file, *args, input=b"")
    return r.stdout


@WORKERS
def test_tickets_do_not_outlive_a_client_ca(start, certs, tmp_path, workers):
    cert, key = certs["good"]
    ca = tmp_path / "people.pem"
    shutil.copy(certs["ca"], ca)
    server = server_of(start, "--tls-cert", cert, "--tls-key", key,
                       "--tls-client-ca", ca, "--workers", workers)
    me = ("-cert", cert, "-key", key)
    file = str(tmp_path / "session")
    assert b"New, TLSv1.2" in session(server, "-sess_out", file, *me)
    for _ in range(workers):
        assert b"Reused, TLSv1.2" in session(server, "-sess_in", file)
    shutil.copy(certs["self"][0], ca)
    hup(server)
    for _ in range(2 * workers):
        seen = session(server, "-sess_in", file, *me)
        assert b"Reused" not in seen
    server.wait_log("certificate")
    stop(server)


def test_tickets_without_a_client_ca_stay_good(start, certs, tmp_path):
    cert, key = certs["good"]
    server = server_of(start, "--tls-cert", cert, "--tls-key", key,
                       "--workers", "2")
    file = str(tmp_path / "session")
    assert b"New, TLSv1.2" in session(server, "-sess_out", file)
    hup(server, 2)
    for _ in range(4):
        assert b"Reused, TLSv1.2" in session(server, "-sess_in", file)
    stop(server)


def test_hup_while_it_drains(start, tmp_path):
    """What is left may still be cut off, and the end comes all the same."""
    file = tmp_path / "tokens"
    file.write_text(line("alice", ALICE) + line("bob", BOB))
    server = server_of(start, "--allow", "loopback", "--tokens", file,
                       "--grace", "60", "--workers", "2")
    alice = client_of(start, server, ALICE)
    with Target(echo_handler) as t:
        s = socks_connect(alice.addr("socks"), t.addr)
        assert echo_works(s)
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("stopping")
        file.write_text(line("bob", BOB))
        hup(server)
        assert recv_all(s) == (b"", RST)
        s.close()
    assert server.wait() == 0
    assert "left behind" not in server.log()
    stop(alice)


def test_a_client_reads_its_token_again(start, tmp_path):
    """While the old one is refused, and while connections are in use."""
    tokens, mine = tmp_path / "tokens", tmp_path / "mine"
    tokens.write_text(line("alice", ALICE) + line("next", BOB))
    mine.write_text(ALICE + "\n")
    server = server_of(start, "--allow", "loopback", "--tokens", tokens)
    c = client_of(start, server, "", "--token-file", mine)
    with source() as t:
        d = Download(c, t.addr)
        mine.write_text(BOB + "\n")
        for text, says in ((None, "read again: token"), ("", "first line")):
            if text is not None:
                mine.write_text(text)
            c.process.send_signal(signal.SIGHUP)
            c.wait_log(says)
        assert f"HUP: --token-file {mine}: the first line" in c.log()
        assert d.rest() == (t.data, FIN)
        assert "tunnel down" not in server.log()
        tokens.write_text(line("next", BOB))
        hup(server)
        hurry(c, "read again: token")
        c.expect("connected", 60)
        server.wait_log("(next): tunnel up")
        stop(c)
    stop(server)


def test_a_client_reads_its_authority_again(start, certs, tmp_path):
    cert, key, ca = (tmp_path / x for x in ("c.pem", "k.pem", "ca.pem"))

    def install(name):
        for to, file in zip((cert, key), certs[name]):
            shutil.copy(file, to)

    install("good")
    shutil.copy(certs["ca"], ca)
    server = server_of(start, "--tls-cert", cert, "--tls-key", key)
    port = server.addr("wss")[1]
    c = client_of(start, server, "", "--tls-ca", ca, kind="wss")
    with source() as t:
        d = Download(c, t.addr)
        ca.write_text("nothing")
        c.process.send_signal(signal.SIGHUP)
        c.wait_log(f"HUP: --tls-ca {ca}: ")
        c.wait_log("stays in force")
        shutil.copy(certs["self"][0], ca)
        c.process.send_signal(signal.SIGHUP)
        c.wait_log("HUP: read again: certificates")
        assert d.rest() == (t.data, FIN)
    install("self")
    stop(server)
    c.wait_log("tunnel down", 30)
    server = start("server", "--listen", f"127.0.0.1:{port}", "--tls-cert",
                   cert, "--tls-key", key).ready()
    c.process.send_signal(signal.SIGHUP)
    c.expect("connected", 60)
    stop(c, server)


def test_half_a_token_is_never_read(start, tmp_path):
    """The file is written again in place while HUP reads it: empty, it is not
    believed; whole, it is; there is nothing between."""
    file, text = tmp_path / "token", "a-token-that-is-long\n"
    file.write_text(text)
    server = start("server", "--listen", "127.0.0.1:0", "--token-file",
                   str(file)).ready()
    over = threading.Event()

    def write():
        while not over.is_set():
            file.write_text(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(count(200, 5000)):
            server.process.send_signal(signal.SIGHUP)
            native.dial(server.addr("ws"), token=text.strip()).close()
    finally:
        over.set()
        writer.join()
    assert server.stop() == 0

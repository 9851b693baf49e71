# SPDX-License-Identifier: MIT
"""wsp server --tokens: names, who gets in, for what, and how much."""
import hashlib
import os
import re
import socket
import threading
import time

import pytest

from harness import (FIN, RST, WSP, Target, closed_port, count, echo_handler,
                     recv_all, recv_exact, reset, run, socks_connect,
                     socks_reply, socks_request)

ALICE = "alice has this token, it is long"
BOB = "bob has another one, as long as that"
NAMELESS = "a token that has no name at all"
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def line(name, token, *settings):
    digest = hashlib.sha256(token.encode()).hexdigest()
    return " ".join([name, "sha256:" + digest, *settings]) + "\n"


@pytest.fixture
def tokens(tmp_path):
    """write(lines...) -> the path of a file of them."""
    path = tmp_path / "tokens"

    def write(*lines):
        path.write_text("".join(lines))
        return str(path)

    return write


def server_of(start, *args, **kw):
    return start("server", "--listen", "127.0.0.1:0", "--allow", "loopback",
                 *args, **kw).ready()


def url_of(server, path=""):
    return "ws://127.0.0.1:%d/%s" % (server.addr("ws")[1], path)


def client_of(start, server, token, *args):
    c = start("client", "--socks", "0", "--server", url_of(server), *args,
              env={"WSP_TOKEN": token})
    return c.ready()


def code_of(start, server, token):
    """The exit code of a client that is not let in."""
    env = {"WSP_TOKEN": token} if token else {}
    return start("client", "--socks", "0", "--server", url_of(server),
                 env=env).wait()


def ask(client, target):
    """The code of the reply."""
    with socket.create_connection(client.addr("socks"), 20) as s:
        s.sendall(b"\5\1\0" + socks_request(target))
        assert recv_exact(s, 2) == b"\5\0"
        return socks_reply(s)[0]


def echoes(s, n=100000):
    data = os.urandom(n)
    threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
    return recv_exact(s, n) == data


def stop(*processes):
    for p in processes:
        assert p.stop() == 0, p.log()
        assert "left behind" not in p.log()


@WORKERS
def test_names_get_in_and_are_logged(start, tokens, workers):
    file = tokens("# people\n\n", line("alice", ALICE), line("bob", BOB))
    server = server_of(start, "--tokens", file, "--workers", workers,
                       "--log-level", "debug", env={"WSP_TOKEN": NAMELESS})
    server.wait_log("2 tokens in")
    with Target(echo_handler) as t:
        for name, token in (("alice", ALICE), ("bob", BOB)):
            c = client_of(start, server, token)
            s = socks_connect(c.addr("socks"), t.addr)
            assert echoes(s)
            s.close()
            stop(c)
            server.wait_log(f"({name}): tunnel up")
            server.wait_log(f"({name}): tunnel down")
    # the one of --token has no name
    c = client_of(start, server, NAMELESS)
    stop(c)
    until(lambda: re.search(r"client 127\S+: tunnel down", server.log()))
    assert re.search(r"client 127\S+: tunnel up", server.log())
    # a second one of an address within a minute would have to wait
    for wrong in (None, ALICE[:-1]):
        assert code_of(start, server, wrong) == 6
    assert ALICE not in server.log() and BOB not in server.log()
    stop(server)


def test_rules_of_a_token_narrow_those_of_the_server(start, tokens):
    with Target(echo_handler) as t, Target(echo_handler) as denied:
        file = tokens(
            line("alice", ALICE, "deny=any",
                 "allow=127.0.0.1:%d" % t.addr[1]),
            line("bob", BOB, "allow=any", "allow=loopback"))
        server = server_of(start, "--tokens", file, "--deny",
                           "127.0.0.1:%d" % denied.addr[1])
        alice = client_of(start, server, ALICE)
        bob = client_of(start, server, BOB)
        with Target(echo_handler) as third:
            s = socks_connect(alice.addr("socks"), t.addr)
            assert echoes(s)
            s.close()
            assert ask(alice, third.addr) == 2
            assert ask(alice, denied.addr) == 2
            assert ask(bob, third.addr) == 0
            # what the server forbids no token allows
            assert ask(bob, denied.addr) == 2
        server.wait_log("(alice) to ")
    stop(alice, bob, server)


@WORKERS
def test_streams_of_a_name_are_limited_over_all_workers(start, tokens,
                                                        workers):
    file = tokens(line("alice", ALICE, "streams=3"), line("bob", BOB))
    server = server_of(start, "--tokens", file, "--workers", workers)
    clients = [client_of(start, server, ALICE) for _ in range(2)]
    bob = client_of(start, server, BOB)
    with Target(echo_handler) as t:
        held = [socks_connect(clients[i % 2].addr("socks"), t.addr)
                for i in range(3)]
        for c in clients:
            assert ask(c, t.addr) == 1
        server.wait_log("streams=3")
        more = [socks_connect(bob.addr("socks"), t.addr) for _ in range(5)]
        assert all(echoes(s, 1000) for s in held + more)
        # one that ends makes room, however it ends
        for s in held:
            s.close()
        until(lambda: ask(clients[0], t.addr) == 0)
        # so do those that cannot be dialled
        closed = ("127.0.0.1", closed_port())
        for _ in range(8):
            assert ask(bob, closed) == 5
        for s in more:
            s.close()
    stop(*clients, bob, server)


def until(done):
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@WORKERS
def test_tunnels_of_a_name_are_limited(start, tokens, workers):
    file = tokens(line("alice", ALICE, "tunnels=2"))
    server = server_of(start, "--tokens", file, "--workers", workers)
    a, b = (client_of(start, server, ALICE, "--connections", "1")
            for _ in range(2))
    third = start("client", "--socks", "0", "--connections", "1", "--server",
                  url_of(server), env={"WSP_TOKEN": ALICE})
    third.wait_log("the server answers 503")
    stop(a)
    third.ready(30)
    stop(b, third, server)


def test_a_site_never_sees_a_token_of_the_file(start, tokens, tmp_path):
    """Each name of the file is a client, all others are guests."""
    seen = []

    def site(s):
        seen.append(s.recv(4096))
        s.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        s.close()

    file = tokens(line("alice", ALICE), line("bob", BOB, "tunnels=1"))
    with Target(site) as backend, Target(echo_handler) as t:
        server = server_of(start, "--tokens", file, "--path", "/p",
                           "--backend", "http://127.0.0.1:%d" %
                           backend.addr[1])
        for token in (ALICE, BOB):
            c = start("client", "--socks", "0", "--server",
                      url_of(server, "p"), env={"WSP_TOKEN": token}).ready()
            s = socks_connect(c.addr("socks"), t.addr)
            assert echoes(s)
            s.close()
            if token == BOB:  # one too many is no guest
                more = start("client", "--socks", "0", "--server",
                             url_of(server, "p"), env={"WSP_TOKEN": token})
                more.wait_log("the server answers 503")
                stop(more)
            stop(c)
        c = start("client", "--socks", "0", "--server", url_of(server, "p"),
                  env={"WSP_TOKEN": "wrong, and as long as the others"})
        assert c.wait() == 7
        stop(server)
    assert seen and all(ALICE.encode() not in x and BOB.encode() not in x
                        for x in seen)


@pytest.mark.parametrize("text,where,what", [
    ("alice\n", ":1", "64 hexadecimal digits"),
    (f"# x\n\nalice {ALICE[:5]}\n", ":3", "wsp token NAME"),
    (line("a", ALICE) + line("a", BOB), ":2", "this name is in line 1"),
    (line("a", ALICE) + "\n" + line("b", ALICE), ":3", "in line 1 already"),
    (line("a", ALICE, "deny=10.1.1.1/40"), ":1", "of a CIDR"),
    (line("a", ALICE, "streams=0"), ":1", "leave it out"),
    (line("a", ALICE, "rate=fast"), ":1", "rate=: not bytes"),
    (line("a", ALICE, "ratio=1"), ":1", "a setting is"),
    (line("a", ""), ":1", "hash of nothing"),
    ("# nobody\n", "", "there is no token in it"),
    ("", "", "there is no token in it"),
])
def test_a_bad_file_is_refused_at_start(start, tokens, text, where, what):
    file = tokens(text)
    s = start("server", "--listen", "127.0.0.1:0", "--tokens", file)
    assert s.wait() == 2
    assert f"--tokens: {file}{where}: " in s.log()
    assert what in s.log() and ALICE[:5] not in s.log()


def test_no_file_is_no_open_proxy(start, tmp_path):
    for more in ([], ["--allow-anonymous"]):
        s = start("server", "--listen", "127.0.0.1:0", "--tokens",
                  tmp_path / "none", *more)
        assert s.wait() == 2
        assert "none: No such file" in s.log()
    s = start("server", "--listen", "127.0.0.1:0", "--tokens", tmp_path)
    assert s.wait() == 2
    assert "Is a directory" in s.log()


def finish(s):
    """Stay until all has arrived: of sockets that were closed before, the
    kernel resets some when it is short of memory for others."""
    s.shutdown(socket.SHUT_WR)
    recv_all(s)
    s.close()


def source(n):
    def handler(s):
        s.sendall(bytes(n))
        finish(s)
    return handler


def pull(socks, target, n, out):
    begin = time.monotonic()
    s = socks_connect(socks, target, 120)
    data, end = recv_all(s)
    out.append((len(data), end, time.monotonic() - begin))
    s.close()


def test_a_rate_is_kept_and_nothing_is_lost(start, tokens):
    """Two clients of a name share it; another name does not wait for them."""
    rate, size = 512 << 10, count(256 << 10, 4 << 20)
    file = tokens(line("alice", ALICE, "rate=512K/s"), line("bob", BOB))
    server = server_of(start, "--tokens", file, "--workers", "2")
    clients = [client_of(start, server, ALICE) for _ in range(2)]
    bob = client_of(start, server, BOB)
    results, quick = [], []
    with Target(source(size)) as t, Target(source(64 << 20)) as big:
        begin = time.monotonic()
        threads = [threading.Thread(target=pull, args=(
            c.addr("socks"), t.addr, size, results)) for c in clients * 2]
        for x in threads:
            x.start()
        pull(bob.addr("socks"), big.addr, 64 << 20, quick)
        for x in threads:
            x.join()
        took = time.monotonic() - begin
    assert [r[:2] for r in results] == [(size, FIN)] * 4
    assert quick[0][:2] == (64 << 20, FIN)
    # a tenth of a second is free, and what a step has over
    assert took > (4 * size - rate / 10 - (64 << 10)) / rate - 0.05
    stop(*clients, bob, server)


@pytest.mark.parametrize("mode", ["down", "up"])
def test_curl_is_as_fast_as_its_rate(start, tokens, tmp_path, mode):
    """Both directions, each for itself; the bytes are the same."""
    data = os.urandom(count(512 << 10, 8 << 20))
    (tmp_path / "data").write_bytes(data)
    file = tokens(line("alice", ALICE, "rate=512K"))
    server = server_of(start, "--tokens", file)
    client = client_of(start, server, ALICE)
    got = []

    def web(s):
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1 << 16)
        head, rest = head.split(b"\r\n\r\n", 1)
        found = re.search(rb"Content-Length: (\d+)", head)
        while found and len(rest) < int(found.group(1)):
            rest += s.recv(1 << 16)
        got.append(rest)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                  % len(data) + data)
        finish(s)

    with Target(web) as t:
        args = ["-H", "Expect:", "--data-binary", f"@{tmp_path}/data"] \
            if mode == "up" else []
        r = run("curl", "-sS", "-x", "socks5h://%s:%d" % client.addr("socks"),
                "-o", tmp_path / "out", "-w", "%{time_total}", *args,
                "http://127.0.0.1:%d/" % t.addr[1])
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "out").read_bytes() == data
    if mode == "up":
        assert got == [data]
    size = len(data) * (2 if mode == "up" else 1)
    assert float(r.stdout) > (size - 3 * (51 << 10) - (128 << 10)) / (512 << 10)
    stop(client, server)


def test_a_slow_rate_does_not_stop_its_own_small_streams(start, tokens):
    """They are served in turn: a download does not starve them."""
    file = tokens(line("alice", ALICE, "rate=256K"))
    server = server_of(start, "--tokens", file)
    client = client_of(start, server, ALICE)
    with Target(source(128 << 10)) as big, Target(echo_handler) as t:
        results = []
        threads = [threading.Thread(target=pull, args=(
            client.addr("socks"), big.addr, 128 << 10, results))
            for _ in range(4)]
        for x in threads:
            x.start()
        s = socks_connect(client.addr("socks"), t.addr)
        rounds = 0
        while any(x.is_alive() for x in threads):
            s.sendall(b"x")
            assert recv_exact(s, 1) == b"x"
            rounds += 1
        for x in threads:
            x.join()
        assert rounds >= 10
        assert [r[:2] for r in results] == [(128 << 10, FIN)] * 4
        s.close()
    stop(client, server)


def test_what_waits_ends_behind_its_last_byte(start, tokens):
    """An upload whose end is there long before the rate lets its bytes go."""
    size = 192 << 10
    file = tokens(line("alice", ALICE, "rate=128K"))
    server = server_of(start, "--tokens", file)
    client = client_of(start, server, ALICE)
    data = os.urandom(size)

    def handler(s):
        got, end = recv_all(s)
        s.sendall(hashlib.sha256(got).digest() + end.encode())
        finish(s)

    with Target(handler) as t:
        s = socks_connect(client.addr("socks"), t.addr, 60)
        threading.Thread(target=lambda: (s.sendall(data), s.shutdown(
            socket.SHUT_WR)), daemon=True).start()
        assert recv_all(s) == (hashlib.sha256(data).digest() + FIN.encode(),
                               FIN)
        s.close()
        # one that is killed while its bytes wait: a reset, and all is free
        seen = []
        with Target(lambda s: seen.append(recv_all(s))) as u:
            s = socks_connect(client.addr("socks"), u.addr, 60)
            s.sendall(data[:100 << 10])
            reset(s)
            until(lambda: seen)
        assert seen[0][1] == RST and data.startswith(seen[0][0])
    stop(client, server)


def test_a_big_file_of_tokens(start, tokens):
    file = tokens(*(line(f"n{i}", f"token number {i} of very many")
                    for i in range(10000)))
    server = server_of(start, "--tokens", file)
    for i in (0, 9999):
        c = client_of(start, server, f"token number {i} of very many")
        server.wait_log(f"(n{i}): tunnel up")
        stop(c)
    stop(server)
    with open(file, "a") as f:
        f.write(line("one", ALICE))
    r = run(WSP, "server", "--listen", "127.0.0.1:0", "--tokens", file)
    assert r.returncode == 2 and b":10001: more than 10000" in r.stderr

# SPDX-License-Identifier: MIT
"""The HTTP proxy as clients and origins meet it: connections that are kept,
bodies that stream, answers of every kind, pages, upgrades, ends."""
import base64
import hashlib
import os
import re
import shutil
import socket
import threading
import time

import pytest

from harness import (ECHO, FIN, RST, Pair, Target, closed_port, echo_handler,
                     free_port, http_url, recv_all, reset, run)
from web import Client, Origin, ok, read_exact, read_head

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"


@pytest.fixture(scope="module")
def p():
    pair = Pair()
    yield pair
    pair.stop()


@pytest.fixture
def client(p):
    with Client(p.http) as c:
        yield c


def hello(name):
    return Origin(lambda r, s, f: ok(name + r.first))


def once(data):
    """An origin that sends data and ends, whatever is asked."""
    def answer(r, s, f):
        s.sendall(data)

    return Origin(answer)


def check_refusal(m, status, error):
    assert m.status() == status, m.raw
    assert m.fields["proxy-status"][0].startswith(f"wsp; error={error}"), m.raw
    assert m.fields["connection"] == ["close"]
    assert m.body.startswith(b"wsp: ")


# Connections that are kept.

def test_origins_are_kept_for_each_target(client):
    with hello(b"a ") as a, hello(b"b ") as b:
        for i in range(20):
            o, name = (a, b"a ") if i % 2 else (b, b"b ")
            m = client.send(b"GET", o, b"/%d" % i).answer()
            assert m.body == name + b"GET /%d HTTP/1.1" % i
            assert "connection" not in m.fields
        assert (a.accepts, b.accepts) == (1, 1)


def test_no_more_than_four_idle_origins(client):
    origins = [hello(b"%d " % i) for i in range(6)]
    for _ in range(2):
        for i, o in enumerate(origins):
            assert client.send(b"GET", o).answer().body.startswith(b"%d " % i)
    assert [o.accepts for o in origins] == [2] * 6
    for o in origins:
        o.listener.close()


def test_pipelined_requests_are_answered_in_order(client):
    bodies = [os.urandom(200000 + i) for i in range(20)]

    def answer(r, s, f):
        return ok(bodies[int(r.first.split()[1][1:])])

    with Origin(answer) as a, Origin(answer) as b:
        for i in range(20):
            client.send(b"GET", (a, b)[i % 2], b"/%d" % i)
        for body in bodies:
            got = client.answer().body
            assert hashlib.sha256(got).digest() == \
                hashlib.sha256(body).digest()
        assert (a.accepts, b.accepts) == (1, 1)


def test_connect_may_follow_on_a_kept_connection(client):
    with hello(b"") as a, Target(echo_handler) as t:
        client.send(b"GET", a).answer()
        at = b"127.0.0.1:%d" % t.addr[1]
        client.s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nearly"
                         % (at, at))
        assert client.head().status() == 200
        assert client.f.read(5) == b"early"


def test_close_is_obeyed(client):
    with hello(b"") as a:
        m = client.send(b"GET", a, b"/", b"Connection: close").answer()
        assert m.fields["connection"] == ["close"] and client.ended()


@pytest.mark.parametrize("end, error", [
    (FIN, "http_response_incomplete"), (RST, "connection_terminated")])
def test_an_idle_connection_that_ends_is_asked_again(p, end, error):
    """The origin takes the second request and says nothing: GET is sent once
    more, POST is not (RFC 9112 section 9.3.1)."""
    def answer(r, s, f):
        asked.append(r.first)
        if len(asked) == 2 and end == RST:
            f.close()
            reset(s)
        return None if len(asked) == 2 else ok(b"fine")

    for method, body, status in ((b"GET", b"", 200), (b"PUT", b"", 200),
                                 (b"POST", b"", 502), (b"PUT", b"x", 502),
                                 (b"PUT", b"1\r\nx\r\n0\r\n\r\n", 502)):
        asked = []
        framing = b"Content-Length: %d" % len(body) if len(body) < 2 \
            else b"Transfer-Encoding: chunked"
        with Origin(answer) as o, Client(p.http) as c:
            c.send(b"GET", o).answer()
            m = c.send(method, o, b"/2", framing, body=body).answer()
            assert m.status() == status, (method, m.raw)
            assert len(asked) == (3 if status == 200 else 2), asked
            if status == 502:
                check_refusal(m, 502, error)


def test_it_is_asked_again_only_once(client):
    with Origin(lambda r, s, f: ok() if r.first[5:6] == b"1" else None) as o:
        client.send(b"GET", o, b"/1").answer()
        m = client.send(b"GET", o, b"/2").answer()
        check_refusal(m, 502, "http_response_incomplete")
        assert [r.first[5:6] for r in o.requests] == [b"1", b"2", b"2"]


def test_an_origin_that_closed_between_requests_is_dialled_anew(client):
    def answer(r, s, f):
        s.sendall(ok(b"x"))  # and end, without having said so

    with Origin(answer) as o:
        for _ in range(3):
            assert client.send(b"GET", o).answer().body == b"x"
            time.sleep(0.1)
        assert client.send(b"POST", o, b"/", b"Content-Length: 1", body=b"y"
                           ).answer().body == b"x"
        assert o.accepts == 4


# Bodies.

UP = 64 << 20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_origin_slows_the_upload_down(p, chunked):
    piece = os.urandom(1 << 20)
    sha = hashlib.sha256(piece * (UP >> 20)).hexdigest().encode()
    start = p.client.rss()
    most = [0]

    def answer(r, s, f):
        digest, left = hashlib.sha256(), UP
        time.sleep(0.5)
        while left:
            if chunked:
                n = int(f.readline(), 16)
            else:
                n = min(left, 1 << 20)
            digest.update(f.read(n))
            left -= n
            if chunked:
                f.read(2)
            time.sleep(0.005)
            most[0] = max(most[0], p.client.rss())
        if chunked:
            assert f.readline() + f.readline() == b"0\r\n\r\n"
        return ok(digest.hexdigest().encode())

    with Origin(answer, whole=False) as o, Client(p.http, 60) as c:
        c.send(b"POST", o, b"/", b"Transfer-Encoding: chunked" if chunked
               else b"Content-Length: %d" % UP)
        for _ in range(UP >> 20):
            c.s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked
                        else piece)
        if chunked:
            c.s.sendall(b"0\r\n\r\n")
        assert c.answer().body == sha
    assert "ASAN_OPTIONS" in os.environ or most[0] < start + (32 << 20), \
        (start, most)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_client_slows_the_download_down(p, chunked):
    piece = os.urandom(1 << 20)
    start = p.client.rss()

    def answer(r, s, f):
        s.sendall(CHUNKED if chunked else
                  b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % UP)
        for _ in range(UP >> 20):
            s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked
                      else piece)
        return b"0\r\n\r\n" if chunked else b""

    with Origin(answer) as o, Client(p.http, 60) as c:
        c.send(b"GET", o)
        time.sleep(1)
        most = p.client.rss()
        assert c.answer().body == piece * (UP >> 20)
    assert "ASAN_OPTIONS" in os.environ or most < start + (32 << 20)


def test_a_client_that_is_slower_than_our_patience_gets_all():
    """The kernel holds what was sent, for longer than the client lingers."""
    page = os.urandom(500_000)

    def answer_once(s):
        read_head(s.makefile("rb"))
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                  % (len(page), page))
        s.close()

    pair = Pair(env={"WSP_TEST_SPEED": "10"})  # 0.2 s, 6 s if it takes nothing
    with Target(answer_once) as t, socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
        s.settimeout(10)
        s.connect(pair.http)
        s.sendall(b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n"
                  b"Connection: close\r\n\r\n"
                  % (t.addr[0].encode(), t.addr[1]))
        time.sleep(1)
        data, end = recv_all(s)
        assert end == FIN
        assert data.endswith(b"\r\n\r\n" + page)
    pair.stop()


def test_both_bodies_stream_at_once(p):
    """An echo by pieces: each must come back before the next goes out."""
    def echo(s):
        f = s.makefile("rb")
        read_head(f)
        s.sendall(CHUNKED)
        n = 1
        while n:
            n = int(f.readline(), 16)
            s.sendall(b"%x;ext=1\r\n" % n + read_exact(f, n + 2))

    with Target(echo) as t, socket.create_connection(p.http, 20) as s:
        f = s.makefile("rb")
        s.sendall(b"POST http://%s:%d/ HTTP/1.1\r\nHost: x\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n" % (
                      t.addr[0].encode(), t.addr[1]))
        assert read_head(f).status() == 200
        for size in (1, 10, 5000, 100000, 0):
            piece = b"%x\r\n%s\r\n" % (size, os.urandom(size))
            s.sendall(piece)
            assert read_exact(f, len(piece)) == piece


def test_an_answer_before_the_upload_has_ended(p):
    """It arrives whole though the origin reads no more; then that is all."""
    def answer(r, s, f):
        f.read(1000)
        return ok(b"x" * 300000).replace(b"200 OK", b"413 Too Much")

    with Origin(answer, whole=False) as o, Client(p.http) as c:
        c.send(b"POST", o, b"/", b"Content-Length: 100000000",
               body=b"y" * 200000)
        m = c.answer()
        assert m.status() == 413 and m.body == b"x" * 300000
        assert m.fields["connection"] == ["close"]
        assert c.ended()
        assert len(o.requests) == 1


def test_a_pipelined_flood_waits(p):
    """Requests that come while one is carried are not all read."""
    start, held = p.client.rss(), threading.Event()

    def answer(r, s, f):
        held.wait(20)
        return ok()

    with Origin(answer) as o, Client(p.http) as c:
        one = b"GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n" % o.at
        c.s.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                c.s.sendall(one * 1000)
        most = p.client.rss()
        held.set()
    assert "ASAN_OPTIONS" in os.environ or most < start + (4 << 20)


def test_heads_without_bodies_keep_the_connection(client):
    def answer(r, s, f):
        status = {b"/204": b"204 No Content",
                  b"/304": b"304 Not Modified"}.get(r.first.split()[1])
        if status == b"204 No Content":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return b"HTTP/1.1 %s\r\nContent-Length: 1000\r\n\r\n" % (
            status or b"200 OK")

    with Origin(answer) as o:
        for method, path, n in ((b"HEAD", b"/", "1000"), (b"GET", b"/204", ""),
                                (b"GET", b"/304", "1000"),
                                (b"HEAD", b"/304", "1000")):
            m = client.send(method, o, path).answer(method)
            assert m.fields.get("content-length", [""]) == [n], m.raw
        assert o.accepts == 1


def test_chunked_answers(p):
    """With trailers and without extensions; HTTP/1.0 gets the data alone."""
    with Origin(lambda r, s, f: CHUNKED + HELLO) as o:
        with Client(p.http) as c:
            c.send(b"GET", o)
            assert c.head().fields["transfer-encoding"] == ["chunked"]
            rest = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
            assert c.f.read(len(rest)) == rest
            assert c.send(b"GET", o).answer().body == b"hello"
            assert o.accepts == 1
        with Client(p.http) as c:
            m = c.send(b"GET", o, version=b"1.0").answer()
            assert m.body == b"hello" and c.ended()
            assert "transfer-encoding" not in m.fields
            assert m.fields["connection"] == ["close"]


def test_an_origin_of_http_1_0(client):
    with once(b"HTTP/1.0 200 OK\r\n\r\nold") as o:
        m = client.send(b"GET", o).answer()
        assert m.body == b"old" and m.fields["via"] == ["1.0 wsp"]
        assert m.fields["connection"] == ["close"]


# Ends of answers: what is cut off must look like that.

def test_an_answer_until_close(p):
    def answer(r, s, f):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
        if r.first[5:6] == b"r":
            time.sleep(0.2)
            f.close()
            reset(s)

    with Origin(answer) as o:
        for path, end in ((b"/fin", FIN), (b"/reset", RST)):
            with Client(p.http) as c:
                c.send(b"GET", o, path)
                data, got = recv_all(c.s)
                assert data.endswith(b"x" * 1000) and got == end, (path, got)


@pytest.mark.parametrize("data, error", [
    (b"", "http_response_incomplete"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "http_response_incomplete"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "http_response_incomplete"),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n", "http_response_incomplete"),
])
def test_an_origin_that_ends_in_its_head(client, data, error):
    with once(data) as o:
        m = client.send(b"GET", o).answer()
        if m.status() == 103:
            m = client.answer()
        check_refusal(m, 502, error)


@pytest.mark.parametrize("head, body", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"12345"),
    (CHUNKED, b"9\r\n12345"),
    (CHUNKED, b"5\r\n12345\r\n"),
    (CHUNKED, b"5\r\n12345\r\n0\r\n"),
    (CHUNKED, b"5\r\n12345\r\n0\r\nX: y\r\n"),
    (CHUNKED, b"5\r\n12345\r\nxyz\r\n"),
    (CHUNKED, b"5\r\n12345678\r\n0\r\n\r\n"),
])
def test_an_answer_that_breaks_is_seen_to_be_broken(p, head, body):
    def answer(r, s, f):
        s.sendall(head)
        time.sleep(0.05)
        s.sendall(body)

    with Origin(answer) as o:
        with Client(p.http) as c:
            data, end = recv_all(c.send(b"GET", o).s)
            assert data.startswith(b"HTTP/1.1 200 OK\r\n")
            assert not data.endswith(b"0\r\n\r\n")
        with Client(p.http) as c:  # it has nothing but the end to tell by
            data, end = recv_all(c.send(b"GET", o, version=b"1.0").s)
            assert end == RST or b"Content-Length: 9" in data, (data, end)


@pytest.mark.parametrize("data", [
    b"hello\r\n\r\n",
    b"\x16\x03\x01\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
], ids=lambda d: repr(d[:60]))
def test_malformed_answers(client, data):
    with once(data) as o:
        check_refusal(client.send(b"GET", o).answer(), 502,
                      "http_protocol_error")
        assert client.ended()


@pytest.mark.parametrize("head, field", [
    (b"HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\n", b"X: y"),
    (b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 5\r\n\r\n", b"X: a"),
    (b"HTTP/1.1 200\r\nContent-Length:5\r\n\r\n", b"Content-Length: 5"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
     b"Content-Length: 5"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", b"Content-Length: 5"),
    (b"HTTP/1.1 200 OK\r\nbad name: x\r\nContent-Length : 5\r\n\r\n",
     b"Content-Length: 5"),
    (b"HTTP/1.1 200 \xc3\xa9\r\nX: \xe9\r\nContent-Length: 5\r\n\r\n",
     b"X: \xe9"),
    (b"HTTP/1.1 200 OK\r\nProxy-Authenticate: x\r\nKeep-Alive: 5\r\n"
     b"Connection: Y\r\nY: z\r\nContent-Length: 5\r\n\r\n", b"Via: 1.1 wsp"),
])
def test_answers_are_put_right(client, head, field):
    with Origin(lambda r, s, f: head + b"hello") as o:
        m = client.send(b"GET", o).answer()
        assert m.body == b"hello" and m.status() == 200
        lines = m.raw.split(b"\r\n")
        assert field in [x[:len(field)] for x in lines], m.raw
        assert not [x for x in lines if b"\n" in x or x[:1] in b" \t" and x]
        assert len([x for x in lines if x[:15] == b"Content-Length:"]) == 1
        for name in ("proxy-authenticate", "keep-alive", "y", "bad name"):
            assert name not in m.fields
        assert client.send(b"GET", o).answer().body == b"hello"


def test_chunks_beside_a_length_win_and_end_the_origin(client):
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")
    with Origin(lambda r, s, f: head + HELLO) as o:
        for _ in range(2):
            m = client.send(b"GET", o).answer()
            assert m.body == b"hello" and "content-length" not in m.fields
        assert o.accepts == 2


def test_bytes_behind_an_answer_never_become_another(client):
    with Origin(lambda r, s, f: ok(b"good") + ok(b"evil")) as o, \
            hello(b"b ") as b:
        assert client.send(b"GET", o).answer().body == b"good"
        assert client.send(b"GET", b).answer().body[:2] == b"b "
        assert client.send(b"GET", o).answer().body == b"good"
        assert o.accepts == 2


# Interim answers.

def test_early_hints(p):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with Origin(lambda r, s, f: hints + hints + ok(b"x")) as o:
        with Client(p.http) as c:
            c.send(b"GET", o)
            for _ in range(2):
                m = c.answer()
                assert m.status() == 103 and m.fields["link"] == ["</x>"]
            assert c.answer().body == b"x"
        with Client(p.http) as c:
            assert c.send(b"GET", o, version=b"1.0").answer().status() == 200


def curl(*args):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    r = run("curl", "-s", "-S", "-m", 30, *args)
    return r.stdout


@pytest.mark.parametrize("status", [200, 417, 413])
def test_expectations_of_curl(p, tmp_path, status):
    """It waits 20 seconds for 100: no answer comes by time-out."""
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3 << 20))

    def answer(r, s, f):
        assert r.fields["expect"] == ["100-continue"]
        if status != 200:
            s.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n"
                      b"Connection: close\r\n\r\nno" % status)
            s.shutdown(socket.SHUT_WR)
            f.read()
            return None
        s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = f.read(int(r.fields["content-length"][0]))
        return ok(hashlib.sha256(body).hexdigest().encode())

    began = time.monotonic()
    with Origin(answer, whole=False) as o:
        out = curl("--expect100-timeout", "20", "-H", "Expect: 100-continue",
                   "-w", " %{http_code}", "-x", http_url(p), "-T", file,
                   o.url()).decode()
    body, code = out.rsplit(" ", 1)
    assert time.monotonic() - began < 10
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (code, body) == (str(status), sha if status == 200 else "no")
    assert len(o.requests) == 1


# Upgrades.

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASK = (b"Upgrade: websocket", b"Connection: keep-alive, Upgrade",
       b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY)


def text_frame(text):
    """Masked with zeros."""
    return b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text


def test_a_websocket(client, start):
    port = start("--listen", "127.0.0.1:0", binary=ECHO,
                 announce=False).expect("listening")[-1].rsplit(":", 1)[1]

    class At:
        at = b"127.0.0.1:" + port.encode()

    client.send(b"GET", At, b"/", *ASK, body=text_frame(b"early"))
    m = client.head()
    assert m.status() == 101, m.raw
    accept = base64.b64encode(hashlib.sha1(
        KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    assert m.fields["sec-websocket-accept"] == [accept]
    assert m.fields["upgrade"][0].lower() == "websocket"
    assert m.fields["connection"][0].lower() == "upgrade"
    assert client.f.read(7) == b"\x81\x05early"
    for _ in range(3):
        client.s.sendall(text_frame(b"hello"))
        assert client.f.read(7) == b"\x81\x05hello"


def test_bytes_behind_101_are_the_new_protocols(client):
    def answer(r, s, f):
        assert r.fields["upgrade"] == ["websocket"]
        s.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\n\r\nbanner")
        while piece := f.read1():
            s.sendall(piece)

    with Origin(answer) as o:
        client.send(b"GET", o, b"/", *ASK)
        assert client.head().status() == 101
        assert client.f.read(6) == b"banner"
        client.s.sendall(b"x" * 100000)
        client.s.shutdown(socket.SHUT_WR)
        assert client.f.read() == b"x" * 100000


def test_an_upgrade_that_is_not_granted(client):
    with hello(b"a ") as a, hello(b"b ") as b:
        m = client.send(b"GET", a, b"/", *ASK).answer()
        assert m.status() == 200 and m.body[:2] == b"a "
        assert client.send(b"GET", b).answer().body[:2] == b"b "


# What the proxy answers itself.

def test_trace_and_options(p):
    with Origin(lambda r, s, f: ok(r.raw)) as o:
        for n, seen in ((b"0", 0), (b"1", 1)):
            with Client(p.http) as c:
                m = c.send(b"TRACE", o, b"/t", b"Max-Forwards: " + n,
                           b"Cookie: secret", b"Proxy-Authorization: secret",
                           b"X: y").answer()
                assert m.status() == 200 and len(o.requests) == seen
                assert b"X: y" in m.body
                if n == b"0":
                    assert m.fields["content-type"] == ["message/http"]
                    assert b"secret" not in m.body
        assert o.requests[0].fields["max-forwards"] == ["0"]
    with Client(p.http) as c:
        c.s.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        m = c.answer()
        assert m.status() == 200 and "CONNECT" in m.fields["allow"][0]


@pytest.mark.parametrize("path, status, type_, text", [
    ("/proxy.pac", 200, "application/x-ns-proxy-autoconfig", "PROXY %s"),
    ("/wpad.dat", 200, "application/x-ns-proxy-autoconfig", "PROXY %s"),
    ("/proxy.pac?x", 200, "application/x-ns-proxy-autoconfig", "PROXY %s"),
    ("/", 200, "text/html; charset=utf-8", "http://%s/proxy.pac"),
    ("/other", 400, "text/plain", "this is a proxy"),
    ("/proxy.pac/", 400, "text/plain", "this is a proxy"),
])
def test_pages(p, path, status, type_, text):
    at = "%s:%d" % p.http
    for method in (b"GET", b"HEAD"):
        with Client(p.http) as c:
            c.s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\n\r\n"
                        % (method, path.encode()))
            m = c.answer(method)
            assert m.status() == status and m.fields["content-type"] == [type_]
            if method == b"GET":
                length = m.fields["content-length"]
                assert text.replace("%s", at) in m.body.decode()
            else:
                assert m.fields["content-length"] == length
            assert c.ended()


def test_refusals_say_why(pair, start):
    """Those of requests and of answers are above."""
    p = pair(server=("--connect-timeout", "0.3", "--deny", "127.0.0.2"))

    def refused(at, head=b"", proxy=p.http):
        class At:
            pass

        At.at = at
        with Client(proxy) as c:
            return c.send(b"GET", At, b"/", *([head] if head else [])).answer()

    port = free_port()
    check_refusal(refused(b"127.0.0.1:%d" % port), 502, "connection_refused")
    check_refusal(refused(b"no-such.invalid"), 502, "dns_error")
    check_refusal(refused(b"127.0.0.2:%d" % port), 403, "http_request_denied")
    check_refusal(refused(b"u@x"), 400, "http_request_error")
    check_refusal(refused(b"x/" + b"x" * 20000), 414, "http_request_error")
    check_refusal(refused(b"x", b"X: " + b"x" * 20000), 431,
                  "http_request_error")
    check_refusal(refused(b"x", b"Content-Length: " + b"9" * 30), 413,
                  "http_request_error")
    with socket.socket() as full:  # a backlog that is full drops SYNs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(full.getsockname())
            fillers.append(s)
        time.sleep(0.1)
        check_refusal(refused(b"127.0.0.1:%d" % full.getsockname()[1]), 504,
                      "connection_timeout")
        for s in fillers:
            s.close()
    down = start("client", "--http", "0", "--connect-timeout", "0.3",
                 "--server", f"ws://127.0.0.1:{closed_port()}/")
    down.expect("listening")
    check_refusal(refused(b"x", proxy=down.addr("http")), 503,
                  "destination_unavailable")
    asking = start("client", "--http", "0", "--server", p.url,
                   "--proxy-auth", "a:b").ready()
    m = refused(b"x", proxy=asking.addr("http"))
    check_refusal(m, 407, "http_request_denied")
    assert m.fields["proxy-authenticate"] == ['Basic realm="wsp"']
    assert asking.stop() == 0


# Clients that go.

def test_a_client_that_disappears_ends_the_origin(p):
    ended = threading.Event()

    def answer(r, s, f):
        try:
            if r.first[:4] == b"POST":
                f.read()
            else:
                s.sendall(CHUNKED)
                while True:
                    s.sendall(b"5\r\nhello\r\n")
        finally:
            ended.set()

    with Origin(answer, whole=False) as o:
        before = len(os.listdir(f"/proc/{p.client.pid}/fd"))
        for method, fields in ((b"GET", ()),
                               (b"POST", (b"Content-Length: 100000",))):
            for end in (reset, socket.socket.close):
                ended.clear()
                c = Client(p.http)
                c.send(method, o, b"/", *fields, body=b"x" * bool(fields))
                while not o.requests:
                    time.sleep(0.01)
                o.requests.clear()
                c.f.close()
                end(c.s)
                assert ended.wait(10), (method, end)
        until = time.monotonic() + 10
        while len(os.listdir(f"/proc/{p.client.pid}/fd")) > before:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_half_close_behind_the_request(client):
    def answer(r, s, f):
        time.sleep(0.3)
        return ok(b"x" * 1000000)

    with Origin(answer) as o:
        client.send(b"GET", o)
        client.send(b"GET", o)
        client.s.shutdown(socket.SHUT_WR)
        for _ in range(2):
            assert client.answer().body == b"x" * 1000000
        assert client.ended()


def test_an_answer_under_way_survives_sigterm(pair):
    p = pair()
    go = threading.Event()

    def answer(r, s, f):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        go.wait(10)
        return b"67890"

    with Origin(answer) as o, Client(p.http) as c:
        c.send(b"GET", o)
        assert c.head().status() == 200
        p.client.process.terminate()
        time.sleep(0.3)
        assert p.client.process.poll() is None
        with pytest.raises(OSError):
            socket.create_connection(p.http, 1)
        go.set()
        assert c.f.read() == b"1234567890"
        c.close()
        assert p.client.wait() == 0


def test_a_stopped_client_waits_for_no_other_request(pair):
    """The answer had ended before, but not yet been read."""
    p = pair(client=("--grace", "8", "--log-level", "debug"))
    with Origin(lambda r, s, f: ok(bytes(16 << 20))) as o, \
            socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20)
        s.connect(p.http)
        s.sendall(b"GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n" % o.at)
        while "bytes up" not in p.client.log():
            s.recv(65536)
            time.sleep(0.002)
        p.client.process.terminate()
        p.client.wait_log("stopping")
        start = time.monotonic()
        assert recv_all(s)[1] == FIN
        s.close()
        assert p.client.wait() == 0 and time.monotonic() - start < 6


# Real clients.

def test_curl_uses_one_connection(p):
    with hello(b"a ") as a, hello(b"b ") as b:
        out = curl("-w", "\n%{num_connects}\n", "-x", http_url(p), a.url("/1"),
                   b.url("/2"), a.url("/3")).decode().split("\n")
        assert out[:6] == ["a GET /1 HTTP/1.1", "1", "b GET /2 HTTP/1.1", "0",
                           "a GET /3 HTTP/1.1", "0"]
        assert (a.accepts, b.accepts) == (1, 1)


def test_requests(p):
    requests = pytest.importorskip("requests")

    def answer(r, s, f):
        return ok(hashlib.sha256(r.body).hexdigest().encode() if r.body
                  else r.first)

    body = os.urandom(1 << 20)
    with Origin(answer) as a, Origin(answer) as b, requests.Session() as s:
        s.trust_env = False
        s.proxies = {"http": http_url(p)}
        for i in range(10):
            o = (a, b)[i % 2]
            assert s.get(o.url(f"/{i}")).text == f"GET /{i} HTTP/1.1"
            sha = hashlib.sha256(body).hexdigest()
            assert s.post(o.url(), data=body).text == sha
            pieces = (body[k:k + 99999] for k in range(0, len(body), 99999))
            assert s.put(o.url(), data=pieces).text == sha
        assert (a.accepts, b.accepts) == (1, 1)


def test_wget(p, tmp_path):
    if not shutil.which("wget"):
        pytest.skip("wget is not installed")
    with hello(b"a ") as a, hello(b"b ") as b:
        r = run("wget", "-q", "-O", "-", a.url("/1"), b.url("/2"), a.url("/3"),
                env={**os.environ, "http_proxy": http_url(p), "no_proxy": ""})
        assert re.findall(rb"[ab] GET /\d", r.stdout) == \
            [b"a GET /1", b"b GET /2", b"a GET /3"], r.stderr

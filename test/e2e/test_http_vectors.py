# SPDX-License-Identifier: MIT
"""The table of test/lib/http_vectors.py against the HTTP proxy, and what it
passes on against other parsers: all must see the same request."""
import os
import random
import shutil
import socket
import subprocess
import time

import pytest

from harness import ECHO, Pair, free_port, run
from http_vectors import VECTORS, Own, Pass, Tunnel, fill
from recorder import Recorder, parse

INNER = b"GET /inner HTTP/1.1\r\nHost: inner\r\n\r\n"
PARSE = os.path.join(os.path.dirname(ECHO), "http_parse")


@pytest.fixture(scope="module")
def world():
    pair, origin = Pair(), Recorder()
    yield pair, origin
    origin.close()
    pair.stop()


def ask(proxy, pieces, fin):
    """All that the proxy says until it ends, and how it ends. A connection
    that would be kept is ended by us."""
    with socket.create_connection(proxy, 20) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(0.001)
            s.sendall(piece)
        if fin:
            s.shutdown(socket.SHUT_WR)
        data = b""
        while piece := s.recv(1 << 16):
            data += piece
            if data.endswith(b"\r\n\r\nok"):
                s.shutdown(socket.SHUT_WR)
        return data


def split(data, rng):
    cuts = sorted(rng.sample(range(1, len(data)), min(4, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


def check_refusal(v, status, answer, seen):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"%d" % status, (v.name, answer[:300])
    assert b"X-Origin" not in head, f"{v.name}: by the origin"
    assert b"\r\nProxy-Status: wsp; error=" in head
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n"
    for data in seen:
        assert parse(data) is None, f"{v.name}: the origin got {data[:300]}"


def check_pass(v, want, sent, port, answer, seen):
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), (v.name, answer[:300])
    assert b"X-Origin: 1" in answer, v.name
    assert len(seen) == 1, (v.name, seen)
    r = parse(seen[0])
    assert r.size == len(seen[0]), f"{v.name}: bytes behind the request"
    path = sent.split(b" ", 2)[1].split(b"/", 3)[-1]
    assert r.line == want.line.replace(b"%PATH%", path), v.name
    assert r.body == want.body, v.name
    raw = seen[0].split(b"\r\n\r\n")[0].split(b"\r\n")
    for field in (*want.has, b"Host: " + fill(want.host, port)):
        assert field in raw, f"{v.name}: {field} is not in {raw}"
    names = [n.lower().decode() for n, _ in r.fields]
    for name in want.hasnt:
        assert name not in names, f"{v.name}: {name} in {raw}"
    assert names.count("host") == 1, v.name
    assert r.values(b"via")[-1] in (b"1.1 wsp", b"1.0 wsp"), v.name
    assert not [n for n in names if n.startswith("proxy-")], v.name
    assert [b"%s: %s" % f for f in r.trailer] == list(want.trailer), v.name


def run_vector(world, v, rng=None):
    """What reached the origin."""
    pair, origin = world
    data = fill(v.data, origin.port)
    if isinstance(v.want, Tunnel):
        data += INNER
    answer = ask(pair.http, split(data, rng) if rng else [data], v.fin)
    seen = origin.take()
    if not isinstance(v.want, int):
        # what was broken off before may come late, but is never complete
        seen = [data for data in seen if parse(bytes(data))]
    if isinstance(v.want, Pass):
        check_pass(v, v.want, data, origin.port, answer, seen)
    elif isinstance(v.want, Tunnel):
        assert answer.startswith(b"HTTP/1.1 200 "), (v.name, answer)
        assert b"X-Origin: 1" in answer, v.name
        assert seen == [INNER], (v.name, seen)
    elif isinstance(v.want, Own):
        assert answer.split(b" ", 2)[1] == b"%d" % v.want.status, v.name
        assert b"X-Origin" not in answer and not seen, v.name
    else:
        check_refusal(v, v.want, answer, seen)
    return seen


def name_of(v):
    return v.name.replace(" ", "-").replace("::", ": :")


def test_the_table_is_large():
    assert len(VECTORS) >= 200
    assert len({v.name for v in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("v", VECTORS, ids=name_of)
def test_vector(world, v):
    run_vector(world, v)


def test_vectors_in_pieces(world):
    """The same, wherever the bytes are cut."""
    rng = random.Random(9112)
    for v in rng.sample(VECTORS, 150):
        run_vector(world, v, rng)


# What other parsers make of what the proxy passes on.

@pytest.fixture(scope="module")
def passed(world):
    """[(vector, bytes that reached the origin)]"""
    return [(v, run_vector(world, v)[0]) for v in VECTORS
            if isinstance(v.want, Pass)]


def with_known_method(data):
    """llhttp refuses the methods that it does not know."""
    return b"POST" + data[data.index(b" "):]


def test_llhttp_reads_the_same(passed):
    requests = [with_known_method(data) for _, data in passed]
    text = b"".join(b"%d\n%s" % (len(d), d) for d in requests)
    answers = run(PARSE, input=text).stdout.splitlines()
    assert len(answers) == len(passed)
    for (v, _), data, answer in zip(passed, requests, answers):
        r = parse(data)
        words = answer.decode().split()
        assert words[0] == "ok", (v.name, answer[:99], data[:300])
        values = [bytes.fromhex(w.replace("-", "")) for w in words[1:]]
        assert values[:3] == [r.method, r.target, r.body], v.name
        fields = list(zip(values[3::2], (x.rstrip() for x in values[4::2])))
        assert fields == r.fields + r.trailer, v.name


def test_h11_reads_the_same(passed):
    h11 = pytest.importorskip("h11")
    for v, data in passed:
        r, body = parse(data), b""
        c = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        c.receive_data(data)
        event = c.next_event()
        assert isinstance(event, h11.Request), (v.name, event)
        assert (event.method, event.target) == (r.method, r.target), v.name
        assert [(n.lower(), x) for n, x in r.fields] == \
            list(event.headers), v.name
        while isinstance(event := c.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), (v.name, event)
        trailer = [(n.lower(), x) for n, x in r.trailer]
        assert body == r.body and list(event.headers) == trailer, v.name
        assert c.trailing_data == (b"", False), v.name


NGINX = """
daemon off; pid {d}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 256; }}
http {{
	access_log off;
	client_body_temp_path {d}/1; proxy_temp_path {d}/2;
	fastcgi_temp_path {d}/3; uwsgi_temp_path {d}/4; scgi_temp_path {d}/5;
	large_client_header_buffers 16 32k; client_header_buffer_size 32k;
	ignore_invalid_headers off; underscores_in_headers on;
	client_max_body_size 0; merge_slashes off;
	server {{
		listen 127.0.0.1:{port};
		location / {{
			proxy_pass http://127.0.0.1:{origin};
			proxy_http_version 1.1; proxy_request_buffering off;
			proxy_set_header Accept-Encoding $http_accept_encoding;
		}}
	}}
}}
"""

HAPROXY = """
global
	tune.bufsize 131072
	tune.http.maxhdr 300
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
	http-reuse never
frontend in
	bind 127.0.0.1:{port}
	default_backend out
backend out
	server origin 127.0.0.1:{origin}
"""


def wait_for(port, process):
    until = time.monotonic() + 10
    while True:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until, f"nobody listens at {port}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)


@pytest.fixture
def front(tmp_path):
    """make(program, config, origin's port) -> port of a proxy in front."""
    processes = []

    def make(program, config, origin):
        path = shutil.which(program, path=os.environ["PATH"] +
                            ":/usr/sbin:/usr/local/sbin")
        if not path:
            pytest.skip(f"{program} is not installed")
        port, file = free_port(), tmp_path / "conf"
        file.write_text(config.format(d=tmp_path, port=port, origin=origin))
        os.chmod(tmp_path, 0o777)
        argv = {"nginx": [path, "-e", "stderr", "-c", file],
                "haproxy": [path, "-db", "-q", "-f", file]}[program]
        processes.append(subprocess.Popen(argv, stderr=subprocess.PIPE,
                                          text=True))
        wait_for(port, processes[-1])
        return port

    yield make
    for p in processes:
        p.terminate()
        p.wait(10)


def through(port, data):
    """Its answer."""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(data)
        got = b""
        while not got.endswith(b"\r\n\r\nok") and (piece := s.recv(1 << 16)):
            got += piece
        return got


@pytest.mark.parametrize("program, config",
                         [("nginx", NGINX), ("haproxy", HAPROXY)],
                         ids=["nginx", "haproxy"])
def test_other_proxies_pass_the_same(passed, front, program, config):
    origin = Recorder()
    port = front(program, config, origin.port)
    time.sleep(0.1)
    origin.take()
    for v, data in passed:
        if program in v.strange:
            continue
        r = parse(data)
        answer = through(port, data).removeprefix(
            b"HTTP/1.1 100 Continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), \
            (v.name, data[:300], answer[:99])
        got = parse(origin.seen[-1])
        assert (got.method, got.target, got.body) == \
            (r.method, r.target, r.body), v.name
        assert got.end_to_end() == r.end_to_end(), v.name
    origin.close()

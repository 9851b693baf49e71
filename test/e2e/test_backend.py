# SPDX-License-Identifier: MIT
"""--backend: who does not know the token cannot tell the server from the web
site behind it. A table of probes goes to the bare site and through the server,
and the answers must be the same, byte for byte; pytest -s prints the table."""
import collections
import concurrent.futures
import contextlib
import os
import re
import resource
import select
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from harness import (FIN, RST, WSP, Target, count, echo_handler, free_port,
                     recv_all, recv_exact, reset, run, socks_connect)

TOKEN = "a token of enough bytes"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
SPEED = {"WSP_TEST_SPEED": "10"}  # our handshake deadline: one second
SITE_SECONDS = 3  # the site's own time-outs
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")


def lines(*text):
    return "\r\n".join(text).encode("latin-1") + b"\r\n"


def hello(*fields, auth=None, path="/tunnel", method="GET", http="HTTP/1.1",
          version="Sec-WebSocket-Version: 13", key=KEY, proto="Proto: 0.10"):
    """A WebSocket handshake, complete."""
    head = [f"{method} {path} {http}", "Host: site", "Upgrade: websocket",
            "Connection: Upgrade", version, key, proto]
    if auth is not None:
        head.append(f"Auth: {auth}")
    return lines(*[h for h in head if h], *fields, "")


def get(path="/", *fields):
    return lines(f"GET {path} HTTP/1.1", "Host: site", *fields, "")


def bytewise(data, pause=0.0):
    return [x for b in data for x in (bytes([b]), pause)]


Probe = collections.namedtuple("Probe", "name steps")
Answer = collections.namedtuple("Answer", "data end seconds")
HALF = "half-close"

# Steps: bytes are sent, a number is a pause, HALF is a half-close.
PROBES = [Probe(name, steps) for name, *steps in [
    # A WebSocket that is not a tunnel.
    ("WebSocket, no token", hello()),
    ("WebSocket, wrong token", hello(auth="wrong token, as long")),
    ("WebSocket, first half right", hello(auth=TOKEN[:12])),
    ("WebSocket, one byte more", hello(auth=TOKEN + "x")),
    ("WebSocket, one byte less", hello(auth=TOKEN[:-1])),
    ("WebSocket, empty token", hello(auth="")),
    ("WebSocket, two tokens", hello("Auth: " + TOKEN, auth="x")),
    ("WebSocket, no Proto, no token", hello(proto=None)),
    ("WebSocket, no Proto, wrong token", hello(auth="x" * 20, proto=None)),
    ("token, Proto 1.0", hello(auth=TOKEN, proto="Proto: 1.0")),
    ("token, wrong path", hello(auth=TOKEN, path="/")),
    ("token, path with a slash", hello(auth=TOKEN, path="/tunnel/")),
    ("token, Origin", hello("Origin: http://a", auth=TOKEN)),
    ("token, bad key", hello(auth=TOKEN, key="Sec-WebSocket-Key: short")),
    ("token, no key", hello(auth=TOKEN, key=None)),
    ("token, two keys", hello(KEY, auth=TOKEN)),
    ("token, version 8",
     hello(auth=TOKEN, version="Sec-WebSocket-Version: 8")),
    ("token, no version", hello(auth=TOKEN, version=None)),
    ("token, HTTP/1.0", hello(auth=TOKEN, http="HTTP/1.0")),
    ("token, HTTP/2.0", hello(auth=TOKEN, http="HTTP/2.0")),
    ("token, POST",
     hello("Content-Length: 2", auth=TOKEN, method="POST") + b"xy"),
    ("token, body", hello("Content-Length: 2", auth=TOKEN) + b"xy"),
    ("token, chunked",
     hello("Transfer-Encoding: chunked", auth=TOKEN) + b"0\r\n\r\n"),
    ("token, two Hosts", hello("Host: other", auth=TOKEN)),
    ("token, no upgrade", get("/tunnel", "Auth: " + TOKEN, "Proto: 0.10")),
    ("WebSocket frames behind", hello() + b"\x82\x85\0\0\0\0hello"),
    # Plain requests.
    ("GET", get()),
    ("GET, not there", get("/nothing")),
    ("GET, the tunnel's path", get("/tunnel")),
    ("GET, close", get("/", "Connection: close")),
    ("HEAD", lines("HEAD / HTTP/1.1", "Host: site", "")),
    ("range", get("/big", "Range: bytes=100-299")),
    ("a big file", get("/big", "Connection: close")),
    ("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n"),
    ("HTTP/0.9", b"GET /\r\n"),
    ("no Host", lines("GET / HTTP/1.1", "")),
    ("absolute form", get("http://site/")),
    ("CONNECT", lines("CONNECT site:443 HTTP/1.1", "Host: site:443", "")),
    ("OPTIONS *", lines("OPTIONS * HTTP/1.1", "Host: site", "")),
    ("TRACE", lines("TRACE / HTTP/1.1", "Host: site", "")),
    ("unknown method", lines("BREW / HTTP/1.1", "Host: site", "")),
    ("POST, length",
     lines("POST / HTTP/1.1", "Host: site", "Content-Length: 5", "")
     + b"hello"),
    ("POST, chunked",
     lines("POST / HTTP/1.1", "Host: site", "Transfer-Encoding: chunked", "")
     + b"5\r\nhello\r\n0\r\n\r\n"),
    ("POST, bad chunk",
     lines("POST / HTTP/1.1", "Host: site", "Transfer-Encoding: chunked", "")
     + b"zz\r\n"),
    ("length and chunked",
     lines("POST / HTTP/1.1", "Host: site", "Content-Length: 5",
           "Transfer-Encoding: chunked", "") + b"0\r\n\r\n"),
    ("Expect",
     lines("POST / HTTP/1.1", "Host: site", "Content-Length: 5",
           "Expect: 100-continue", ""), 0.3, b"hello"),
    ("pipelining", get() + get("/nothing") + get("/", "Connection: close")),
    ("a handshake as second request", get() + hello(auth=TOKEN)),
    ("the same, later", get(), 0.3, hello(auth=TOKEN)),
    ("half-close", get(), HALF),
    # Heads that are none.
    ("two spaces", b"GET  /  HTTP/1.1\r\nHost: site\r\n\r\n"),
    ("bare LF", get().replace(b"\r", b"")),
    ("bare LF, WebSocket", hello(auth=TOKEN + "x").replace(b"\r", b"")),
    ("bare CR", b"GET / HTTP/1.1\rHost: site\r\r"),
    ("empty lines first", b"\r\n\r\n" + get()),
    ("NUL in a field", get("/", "X: a\0b")),
    ("NUL first", b"\0" + get()),
    ("space before a colon", get("/", "X : y")),
    ("folded field", get("/", "X: y", " z")),
    ("folded token", hello(" more", auth=TOKEN)),
    ("field without a colon", get("/", "nonsense")),
    ("field without a name", get("/", ": y")),
    ("bytes over 0x7f", get("/\xe4", "X: \xff")),
    ("dot segments", get("/../../etc/passwd")),
    ("percent NUL", get("/%00")),
    ("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
     + bytes(range(256)) * 2),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 27),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("SOCKS5", b"\x05\x01\x00"),
    ("one line of 9 KiB", get("/", "X: " + "a" * 9000)),
    ("a path of 20 KiB", get("/" + "a" * 20000)),
    ("64 KiB of fields", get("/", *["X: " + "a" * 1000] * 65)),
    ("20 KiB of fields, WebSocket",
     hello(*["X: " + "a" * 1000] * 20, auth=TOKEN)),
    ("a token of 4 KiB", hello(auth="a" * 4096)),
    ("256 KiB without a line", b"a" * (256 << 10)),
    # What comes slowly, or not at all.
    ("nothing", 0),
    ("nothing, half-close", HALF),
    ("one byte", b"G"),
    ("half a line", b"GET /tun"),
    ("half a line, half-close", b"GET /tun", HALF),
    ("half a head", hello()[:60]),
    ("half a head, half-close", hello()[:60], HALF),
    ("half a token", hello(auth=TOKEN)[:-20]),
    ("all but a byte", hello(auth="wrong token, as long")[:-1]),
    ("two Hosts, then nothing", hello("Host: other")[:-2]),
    ("empty token, two Hosts, then nothing",
     lines("GET / HTTP/1.1", "Host: a", "Auth:", "Host: b") + b"X"),
    ("long token, two Hosts, then nothing",
     lines("GET / HTTP/1.1", "Host: a", "Auth: " + "a" * 600, "Host: b")
     + b"X"),
    ("9 KiB, then nothing", get("/", "X: " + "a" * 9000)[:-4]),
    ("half a wrong token of 2 KiB", hello(auth="a" * 2048)[:-100]),
    ("byte by byte", *bytewise(get("/", "Connection: close"))),
    ("byte by byte, WebSocket", *bytewise(hello(auth="wrong token, as long"))),
    ("slow head", *bytewise(get()[:12], 0.2)),
    ("slow head, later than our deadline",
     get()[:-4], 1.5, b"\r\n", 0.2, b"X: y\r\n\r\n"),
    ("slow WebSocket, later than our deadline",
     hello(auth="x")[:80], 1.5, hello(auth="x")[80:]),
    ("half a body", lines("POST / HTTP/1.1", "Host: site",
                          "Content-Length: 500", "") + b"x"),
]]
SLOW_ANSWER = 12  # seconds in which every probe is over


WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def try_to_read(s, got):
    """How the connection has ended, or None."""
    try:
        while piece := s.recv(1 << 18):
            got.append(piece)
        return FIN
    except WAIT:
        return None
    except ConnectionResetError:
        return RST
    except ssl.SSLError:
        return "cut"


def try_to_write(s, out):
    """What is left; nothing if nobody takes it any more."""
    try:
        return out[s.send(out):] if out else b""
    except WAIT:
        return out
    except (ConnectionError, ssl.SSLError):
        return b""


def probe(addr, steps, wrap=None):
    """What a connection that does this gets, and how and when it ends. One
    thread reads and writes: OpenSSL takes no two."""
    steps, out, got, end = list(steps), b"", [], None
    with socket.create_connection(addr, SLOW_ANSWER) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s = wrap(raw) if wrap else raw
        begin = wake = time.monotonic()
        s.setblocking(False)
        while not end:
            now = time.monotonic()
            if not out and steps and now >= wake:
                step = steps.pop(0)
                if isinstance(step, bytes):
                    out = step
                elif step == HALF:
                    s.shutdown(socket.SHUT_WR)
                else:
                    wake = now + step
            out = try_to_write(s, out)
            end = try_to_read(s, got)
            if now - begin > SLOW_ANSWER:
                end = "never"
            pause = 1 if not steps else max(0, wake - time.monotonic())
            if not end:
                select.select([s], [s] if out else [], [], pause)
        s.close()
    return Answer(b"".join(got), end, time.monotonic() - begin)


def masked(data):
    return re.sub(rb"\r\nDate: [^\r\n]*", b"\r\nDate: *", data)


def first_line(data):
    line = data.split(b"\r\n", 1)[0][:40]
    return line.decode("ascii", "replace") if line.isascii() else repr(line)


def is_same(a, b, ends):
    return (masked(a.data) == masked(b.data) and (a.end == b.end or not ends)
            and abs(a.seconds - b.seconds) < 1)


def compare(title, bare, hidden, probes, wrap=(None, None), ends=True):
    """Every probe at both places; prints the table, and fails with all that
    differ. What differs is tried again alone: a machine that is busy with all
    at once may be late."""
    def ask(p):
        return [probe(at, p.steps, w) for at, w in zip((bare, hidden), wrap)]

    def once(p):
        try:
            return ask(p)
        except OSError:
            return None

    with concurrent.futures.ThreadPoolExecutor(len(probes)) as pool:
        answers = list(pool.map(once, probes))
    print(f"\n{title}: {len(probes)} probes")
    bad = []
    for i, p in enumerate(probes):
        if not answers[i] or not is_same(*answers[i], ends):
            answers[i] = ask(p)
        a, b = answers[i]
        same = is_same(a, b, ends)
        print(f"{'same' if same else 'DIFFERS':8}{p.name:42}"
              f"{len(a.data):8} {a.end:6}{a.seconds:5.1f} s  "
              f"{first_line(a.data)}")
        if not same:
            print(f"{'':8}{'':42}{len(b.data):8} {b.end:6}{b.seconds:5.1f} s  "
                  f"{first_line(b.data)}")
            bad.append(p.name)
    assert not bad
    return [(p, a) for p, (a, _) in zip(probes, answers)]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory, certs):
    """(plain, TLS) addresses of a bare site."""
    if not NGINX:
        pytest.skip("no nginx")
    d = tmp_path_factory.mktemp("nginx")
    (d / "www").mkdir()
    (d / "www" / "index.html").write_text("<h1>A site</h1>\n")
    (d / "www" / "big").write_bytes(os.urandom(3 << 20))
    plain, tls = free_port(), free_port()
    cert, key = certs["good"]
    temp = "".join(f"{k}_temp_path {d}/{k};" for k in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (d / "conf").write_text(f"""
        daemon off; master_process off; pid {d}/pid; error_log {d}/error;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; {temp}
            client_header_timeout {SITE_SECONDS};
            client_body_timeout {SITE_SECONDS};
            keepalive_timeout {SITE_SECONDS};
            lingering_timeout 1; lingering_time {SITE_SECONDS};
            server {{
                listen 127.0.0.1:{plain};
                listen 127.0.0.1:{tls} ssl;
                ssl_certificate {cert}; ssl_certificate_key {key};
                root {d}/www;
            }}
        }}""")
    p = subprocess.Popen([NGINX, "-p", d, "-c", d / "conf"],
                         stderr=subprocess.DEVNULL)
    wait_for(plain)
    yield ("127.0.0.1", plain), ("127.0.0.1", tls)
    p.terminate()
    p.wait(10)


def wait_for(port):
    until = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def hidden(start, site, *args, env=None):
    return start("server", "--listen", "127.0.0.1:0", "--token", TOKEN,
                 "--path", "/tunnel", "--backend", "http://%s:%d" % site,
                 *args, env=env).ready()


def echo_until_idle(s):
    """Answers with what it gets, and ends when no more comes."""
    s.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while piece := s.recv(1 << 16):
            s.sendall(piece)
    s.shutdown(socket.SHUT_WR)
    s.close()


def unhurried(p):
    """Without pauses that the echo would take for the end."""
    return all(isinstance(s, bytes) or s == HALF or s < 1 for s in p.steps)


def test_probes_reach_the_backend_byte_for_byte(start):
    with Target(echo_until_idle) as t:
        server = hidden(start, t.addr, env=SPEED)
        answers = compare("echo", t.addr, server.addr("ws"),
                          [p for p in PROBES if unhurried(p)])
    for p, a in answers:
        assert a.data == b"".join(s for s in p.steps if isinstance(s, bytes))
    assert server.stop() == 0


def test_nginx_is_all_that_anybody_sees(start, nginx):
    server = hidden(start, nginx[0], env=SPEED)
    compare("nginx", nginx[0], server.addr("ws"), PROBES)
    assert server.stop() == 0


def test_haproxy_is_all_that_anybody_sees(start, tmp_path):
    """It ends with a FIN and a reset behind it when it has not read all."""
    if not HAPROXY:
        pytest.skip("no haproxy")
    port = free_port()
    conf = tmp_path / "conf"
    conf.write_text(f"""
        defaults
            mode http
            timeout connect 5s
            timeout client {SITE_SECONDS}s
            timeout server {SITE_SECONDS}s
            timeout http-request {SITE_SECONDS}s
        frontend site
            bind 127.0.0.1:{port}
            http-request return status 200 content-type text/plain string hi if {{ path / }}
            http-request deny deny_status 404
        """ + "\n")
    p = subprocess.Popen([HAPROXY, "-db", "-f", conf])
    try:
        wait_for(port)
        server = hidden(start, ("127.0.0.1", port), env=SPEED)
        compare("haproxy", ("127.0.0.1", port), server.addr("ws"), PROBES)
        assert server.stop() == 0
    finally:
        p.terminate()
        p.wait(10)


def client_tls(certs):
    context = ssl.create_default_context(cafile=certs["ca"])
    return lambda s: context.wrap_socket(s, server_hostname="localhost")


def no_half(p):
    return HALF not in p.steps  # Python has none over TLS


def test_nginx_is_all_that_anybody_sees_inside_tls(start, nginx, certs):
    cert, key = certs["good"]
    server = hidden(start, nginx[0], "--tls-cert", cert, "--tls-key", key,
                    env=SPEED)
    wrap = client_tls(certs)
    compare("nginx inside our TLS", nginx[1], server.addr("wss"),
            [p for p in PROBES if no_half(p)], (wrap, wrap), ends=False)
    assert server.stop() == 0


def test_behind_a_tls_front(start, nginx, certs, tmp_path):
    if not HAPROXY:
        pytest.skip("no haproxy")
    server = hidden(start, nginx[0], env=SPEED)
    pem = tmp_path / "pem"
    pem.write_text("".join(open(f).read() for f in certs["good"]))
    fronts = free_port(), free_port()
    ways = zip("ab", fronts, (nginx[0], server.addr("ws")))
    conf = tmp_path / "conf"
    conf.write_text("""
        defaults
            mode tcp
            timeout connect 5s
            timeout client 30s
            timeout server 30s
        """ + "".join(f"""
        listen {name}
            bind 127.0.0.1:{port} ssl crt {pem}
            server site {at[0]}:{at[1]}
        """ for name, port, at in ways) + "\n")
    p = subprocess.Popen([HAPROXY, "-db", "-f", conf])
    try:
        wait_for(fronts[1])
        wrap = client_tls(certs)
        compare("nginx behind haproxy's TLS", ("127.0.0.1", fronts[0]),
                ("127.0.0.1", fronts[1]), [p for p in PROBES if no_half(p)],
                (wrap, wrap), ends=False)
        c = start("client", "--socks", "0", "--token", TOKEN, "--tls-ca",
                  certs["ca"], "--server",
                  f"wss://localhost:{fronts[1]}/tunnel").ready()
        assert c.stop() == 0
    finally:
        p.terminate()
        p.wait(10)


def url(server, kind="ws"):
    return "%s://localhost:%d/tunnel" % (kind, server.addr(kind)[1])


def site(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"):
    """An origin; what its connections have said is in .said."""
    said = []

    def handler(s):
        said.append(b"")
        nth = len(said) - 1
        while piece := s.recv(1 << 16):
            said[nth] += piece
            if b"\r\n\r\n" in said[nth]:
                s.sendall(answer)
        s.close()

    t = Target(handler)
    t.said = said
    return t


def test_clients_with_the_token_get_in(start, certs):
    cert, key = certs["good"]
    with site() as t, Target(lambda s: (s.sendall(b"hello"), s.close())) as u:
        for args, kind in (((), "ws"),
                           (("--tls-cert", cert, "--tls-key", key), "wss")):
            server = hidden(start, t.addr, "--allow", "loopback", *args)
            c = start("client", "--socks", "0", "--token", TOKEN, "--tls-ca",
                      certs["ca"], "--server", url(server, kind)).ready()
            assert recv_all(socks_connect(c.addr("socks"), u.addr)) == \
                (b"hello", FIN)
            assert c.stop() == 0 and server.stop() == 0
    assert not t.said


def test_a_wrong_token_exits_7_and_names_it(start):
    with site() as t:
        server = hidden(start, t.addr)
        for args in ((), ("--token", "wrong token, but long enough")):
            c = start("client", "--socks", "0", "--server", url(server), *args)
            assert c.wait() == 7
            assert "are the path of the URL and the token right" in c.log()
        c = start("client", "--socks", "0", "--token", TOKEN, "--server",
                  url(server).replace("tunnel", "other"))
        assert c.wait() == 7
        assert "client refused" not in server.log()
        assert server.stop() == 0


def test_a_handshake_in_pieces_gets_in_and_the_token_stays_here(start):
    """With a frame right behind it, which is not lost."""
    ping = b"\x89\x80\0\0\0\0"
    with site() as t:
        server = hidden(start, t.addr)
        for head in (hello(auth=TOKEN), hello("X: y", auth=TOKEN)):
            for pause in (0, 0.002):
                with socket.create_connection(server.addr("ws"), 10) as s:
                    for b in head + ping if pause else [head + ping]:
                        s.sendall(bytes([b]) if pause else b)
                        time.sleep(pause)
                    answer = recv_exact(s, 12)
                    assert answer == b"HTTP/1.1 101"
                    while not answer.endswith(b"\r\n\r\n"):
                        answer += recv_exact(s, 1)
                    assert recv_exact(s, 2) == b"\x8a\0"
        assert server.stop() == 0
    assert t.said and not any(b"Auth" in said for said in t.said)


def test_idle_guests_keep_nobody_out(start):
    """More of them than the server has descriptors for: at most half of those
    are theirs."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    with site() as t, contextlib.ExitStack() as stack:
        server = start("server", "--listen", "127.0.0.1:0", "--token", TOKEN,
                       "--backend", "http://%s:%d" % t.addr, env=SPEED,
                       preexec_fn=few).ready()
        for _ in range(100):
            stack.enter_context(
                socket.create_connection(server.addr("ws"), 10))
        time.sleep(1.5)  # our handshake deadline has come
        for _ in range(3):
            c = start("client", "--socks", "0", "--token", TOKEN, "--server",
                      "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
            assert c.stop() == 0
        assert "limit reached" in server.log()
        assert 30 < len(t.said) < 70
        assert server.stop() == 0


def test_a_hundred_idle_guests_are_no_burden(start):
    with site() as t, contextlib.ExitStack() as stack:
        server = hidden(start, t.addr, env=SPEED)
        before = server.rss()
        for head in (b"", b"GET / HTTP/1.1\r\n") * 50:
            s = stack.enter_context(
                socket.create_connection(server.addr("ws"), 10))
            s.sendall(head)
        time.sleep(1.5)
        assert server.rss() - before < 4 << 20
        c = start("client", "--socks", "0", "--token", TOKEN, "--server",
                  url(server)).ready()
        assert c.stop() == 0
        assert server.stop() == 0


def test_a_site_that_is_down_is_a_502(start):
    server = hidden(start, ("127.0.0.1", free_port()), "--workers", "1",
                    env=SPEED)
    for steps in ([get()], [hello(auth="x")], [b"GET /\r\n", HALF],
                  [b"", 0.5, get()]):
        answer = probe(server.addr("ws"), steps)
        assert answer.data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert answer.end == FIN
    assert server.log().count("connection refused") == 1  # a line a second
    c = start("client", "--socks", "0", "--token", TOKEN, "--server",
              url(server)).ready()
    assert c.stop() == 0
    c = start("client", "--socks", "0", "--wait", "1", "--token", "x" * 16,
              "--server", url(server))
    assert c.wait() == 4
    assert server.stop() == 0


@pytest.mark.parametrize("first", [b"GE", get()])
def test_resets_pass_both_ways(start, first):
    ends = []

    def keep_end(s):
        ends.append(recv_all(s))

    with Target(keep_end) as t:
        server = hidden(start, t.addr, env=SPEED)
        s = socket.create_connection(server.addr("ws"), 10)
        s.sendall(first)
        time.sleep(0.2)
        reset(s)
        until = time.monotonic() + 5
        while not ends and time.monotonic() < until:
            time.sleep(0.01)
        assert ends == [(first, RST)]
    with Target(lambda s: (recv_exact(s, len(first)), reset(s))) as t:
        server = hidden(start, t.addr)
        assert probe(server.addr("ws"), [first])[:2] == (b"", RST)


def test_a_site_that_closes_at_once(start):
    """Before our deadline, and before the guest has said anything."""
    with Target(lambda s: s.close()) as t:
        server = hidden(start, t.addr)
        answer = probe(server.addr("ws"), [])
        assert answer[:2] == (b"", FIN) and answer.seconds < 5
        assert server.stop() == 0


def test_the_site_may_keep_a_connection_as_long_as_it_likes(start):
    """A WebSocket of its own, say: five minutes without a byte."""
    with Target(echo_handler) as t:
        server = hidden(start, t.addr, env={"WSP_TEST_SPEED": "100"})
        with socket.create_connection(server.addr("ws"), 10) as s:
            for data in (hello(auth="x"), b"later"):
                s.sendall(data)
                assert recv_exact(s, len(data)) == data
                time.sleep(3)
            s.shutdown(socket.SHUT_WR)
            assert recv_all(s) == (b"", FIN)
        assert server.stop() == 0


def test_an_end_with_a_reset_behind_it_is_an_end(start):
    """A site that refuses a long request, and does not read the rest."""
    def refuse(s):
        recv_exact(s, 100)
        s.sendall(b"no")
        s.shutdown(socket.SHUT_WR)
        reset(s)

    with Target(refuse) as t:
        server = hidden(start, t.addr)
        for _ in range(count(50, 2000)):
            answer = probe(server.addr("ws"), [get() + b"a" * 50000])
            assert answer[:2] == (b"no", FIN)
        assert server.stop() == 0


def sockets_of(server):
    """How many it holds; one may be closed between the list and the look."""
    n = 0
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        try:
            n += os.readlink(f"/proc/{server.pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return n


def test_who_stays_behind_a_site_that_has_closed_is_let_go(start):
    """A kernel forgets a socket that was closed; a relay has to do it."""
    def answer_once(s):
        recv_exact(s, 18)
        s.sendall(b"bye")
        s.close()

    with Target(answer_once) as t:
        server = hidden(start, t.addr, env={"WSP_TEST_SPEED": "100"})
        before = sockets_of(server)
        with socket.create_connection(server.addr("ws"), 10) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert recv_all(s) == (b"bye", FIN)
            until = time.monotonic() + 10
            while sockets_of(server) > before:
                assert time.monotonic() < until
                time.sleep(0.05)
            with pytest.raises(BrokenPipeError):
                for _ in range(100):
                    s.sendall(b"is anybody there?")
                    time.sleep(0.05)
        assert server.stop() == 0


@pytest.mark.parametrize("tls", [False, True])
def test_who_reads_slowly_gets_all_that_a_closed_site_has_sent(start, certs,
                                                               tls):
    """The kernel holds most of it when the relay's time is over."""
    page = os.urandom(1 << 20)

    def answer_once(s):
        recv_exact(s, 18)
        s.sendall(page)
        s.close()

    with Target(answer_once) as t:
        args = ["--tls-cert", certs["good"][0], "--tls-key",
                certs["good"][1]] if tls else []
        server = hidden(start, t.addr, *args, env={"WSP_TEST_SPEED": "100"})
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
        s.settimeout(10)
        s.connect(server.addr("wss" if tls else "ws"))
        if tls:
            s = client_tls(certs)(s)
        with s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            got = b""
            while len(got) < len(page) and (data := s.recv(5000)):
                got += data
                time.sleep(0.01)
            assert got == page
            assert s.recv(1) == b""
        assert server.stop() == 0


def test_who_does_not_read_costs_little(start):
    def endless(s):
        with contextlib.suppress(OSError):
            while True:
                s.sendall(b"x" * (1 << 16))

    with Target(endless) as t, contextlib.ExitStack() as stack:
        server = hidden(start, t.addr)
        before = server.rss()
        for _ in range(40):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(server.addr("ws"))
            stack.enter_context(s)
            s.sendall(get())
        time.sleep(2)
        assert server.rss() - before < 40 * (256 << 10)
        server.kill()


def test_a_stop_waits_for_guests_no_longer_than_for_others(start):
    with site() as t:
        server = hidden(start, t.addr, "--grace", "0.5")
        with socket.create_connection(server.addr("ws"), 10) as s, \
                socket.create_connection(server.addr("ws"), 10):
            s.sendall(get())
            assert recv_exact(s, 15) == b"HTTP/1.1 200 OK"
            assert server.stop() == 0
            assert recv_all(s)[1] == RST
        assert "left behind" not in server.log()


def test_what_cannot_be_a_backend():
    for args, text in (
            (("https://127.0.0.1",), "https:// and unix: are not possible"),
            (("unix:/run/x",), "not http://HOST:PORT"),
            (("http://h/path",), "without user, path or query"),
            (("http://127.0.0.1:8010",), "where the server itself listens"),
            (("http://u@h/",), "without user, path or query")):
        r = run(WSP, "server", "--token", TOKEN, "--backend", *args)
        assert r.returncode == 2 and text in r.stderr.decode(), r.stderr
    r = run(WSP, "server", "--backend", "http://127.0.0.1:8080")
    assert r.returncode == 2 and b"give --token-file" in r.stderr

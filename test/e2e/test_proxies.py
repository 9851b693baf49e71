# SPDX-License-Identifier: MIT
"""The commands of the README with curl, and what raw clients see."""
import concurrent.futures
import hashlib
import http.server
import os
import queue
import socket
import ssl
import threading
import time

import pytest

from harness import (FIN, Target, echo_handler, free_port, http_connect,
                     http_url, recv_all, recv_exact, run, socks_connect,
                     socks_reply, socks_request, socks_url)

BODY = os.urandom(1 << 20) * 3


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.requestline, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        text = hashlib.sha256(data).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def tls_origin(certs):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certs["good"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def curl(*args):
    return run("curl", "-s", "-S", "-m", 30, *args)


def test_the_verbatim_commands(start, origin, tmp_path):
    for port in (8010, 1080, 8080):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is taken")
    server = start("server", "--listen").ready()
    client = start("client", "--socks", "1080", "--http", "8080").ready()
    url = "http://127.0.0.1:%d/" % origin.server_port
    for proxy in ("socks5h://127.0.0.1:1080", "socks5://127.0.0.1:1080",
                  "http://127.0.0.1:8080"):
        assert curl("-x", proxy, url).stdout == BODY
    assert client.stop() == 0
    assert server.stop() == 0


def test_curl_through_each_proxy_http_and_https(pair, origin, tls_origin,
                                                certs):
    p = pair()
    for proxy in (socks_url(p), socks_url(p).replace("5h", "5"), http_url(p)):
        r = curl("-x", proxy, "http://127.0.0.1:%d/" % origin.server_port)
        assert r.stdout == BODY
        r = curl("-4", "-x", proxy, "--cacert", certs["ca"],
                 "https://localhost:%d/" % tls_origin.server_port)
        assert r.stdout == BODY, r.stderr


def test_uploads_arrive_whole(pair, origin, tmp_path):
    p = pair()
    data = os.urandom(1 << 20) * 20
    file = tmp_path / "up"
    file.write_bytes(data)
    for proxy in (socks_url(p), http_url(p)):
        r = curl("-x", proxy, "--data-binary", f"@{file}",
                 "http://127.0.0.1:%d/" % origin.server_port)
        assert r.stdout.decode() == hashlib.sha256(data).hexdigest()


def test_200_requests_in_parallel(pair, origin):
    p = pair()

    def one(_):
        return curl("-x", socks_url(p), "http://127.0.0.1:%d/"
                    % origin.server_port).stdout == BODY

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert all(pool.map(one, range(200)))


def test_refusals_have_their_codes(pair):
    p = pair()
    port = free_port()
    cases = [(("127.0.0.1", port), 5, 502), (("no-such.invalid", 1), 4, 502)]
    for target, socks, http_ in cases:
        s = socket.create_connection(p.socks, 10)
        s.sendall(b"\5\1\0" + socks_request(target))
        assert recv_exact(s, 2) == b"\5\0"
        assert socks_reply(s)[0] == socks
        assert recv_all(s) == (b"", FIN)
        s = socket.create_connection(p.http, 10)
        name = "%s:%d" % target
        s.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        data, end = recv_all(s)
        assert data.split()[1] == str(http_).encode() and end == FIN


def test_a_target_that_never_answers_times_out(pair):
    p = pair(server=("--connect-timeout", "0.5"))
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
        s = socket.create_connection(p.socks, 10)
        s.sendall(b"\5\1\0" + socks_request(full.getsockname()))
        recv_exact(s, 2)
        assert socks_reply(s)[0] == 4
        s = socket.create_connection(p.http, 10)
        name = "%s:%d" % full.getsockname()
        s.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        assert recv_all(s)[0].split()[1] == b"504"


def test_every_kind_of_address(pair):
    p = pair()
    with Target(echo_handler) as v4, Target(echo_handler, "::1") as v6:
        for target in (v4.addr, ("localhost", v4.addr[1]), v6.addr):
            s = socks_connect(p.socks, target)
            s.sendall(b"hello")
            assert recv_exact(s, 5) == b"hello"
            s.close()
        s = http_connect(p.http, ("[::1]", v6.addr[1]))
        s.sendall(b"hello")
        assert recv_exact(s, 5) == b"hello"


def test_the_reply_names_the_servers_socket(pair):
    p = pair()
    peers = queue.Queue()

    def handler(s):
        peers.put(s.getpeername())
        s.recv(1)

    with Target(handler) as t:
        s = socket.create_connection(p.socks, 10)
        s.sendall(b"\5\1\0" + socks_request(t.addr))
        recv_exact(s, 2)
        code, bound = socks_reply(s)
        assert code == 0
        host, port = peers.get(timeout=10)
        assert bound == socket.inet_aton(host) + port.to_bytes(2, "big")


def test_bytes_behind_the_request_are_kept(pair):
    p = pair()
    with Target(echo_handler) as t:
        s = socket.create_connection(p.socks, 10)
        s.sendall(b"\5\1\0" + socks_request(t.addr) + b"early socks")
        recv_exact(s, 2)
        assert socks_reply(s)[0] == 0
        assert recv_exact(s, 11) == b"early socks"
        s = socket.create_connection(p.http, 10)
        name = "%s:%d" % t.addr
        s.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\nearly"
                  .encode())
        recv_exact(s, len("HTTP/1.1 200 Connection established\r\n\r\n"))
        assert recv_exact(s, 5) == b"early"


def test_requests_byte_by_byte(pair):
    p = pair()
    with Target(echo_handler) as t:
        s = socket.create_connection(p.socks, 10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for c in b"\5\1\0" + socks_request(("localhost", t.addr[1])) + b"x":
            s.sendall(bytes([c]))
            time.sleep(0.002)
        recv_exact(s, 2)
        assert socks_reply(s)[0] == 0
        assert recv_exact(s, 1) == b"x"


def test_absolute_form_is_rewritten(pair, origin):
    p = pair()
    origin.seen.clear()
    curl("-x", http_url(p), "-H", "Proxy-Authorization: Basic eA==", "-H",
         "X-Test: 1", "http://127.0.0.1:%d/a?b" % origin.server_port)
    line, fields = origin.seen[0]
    assert line == "GET /a?b HTTP/1.1"
    assert fields["Host"] == "127.0.0.1:%d" % origin.server_port
    assert fields["X-Test"] == "1" and fields["Via"] == "1.1 wsp"
    assert "Connection" not in fields
    assert not [f for f in fields if f.lower().startswith("proxy-")]


def test_a_second_request_never_goes_to_the_first_host(pair, origin):
    p = pair()
    origin.seen.clear()
    at = "127.0.0.1:%d" % origin.server_port
    s = socket.create_connection(p.http, 10)
    s.sendall(f"GET http://{at}/1 HTTP/1.1\r\nHost: {at}\r\n\r\n"
              f"GET http://other.example/2 HTTP/1.1\r\nHost: other.example"
              "\r\n\r\n".encode())
    recv_all(s)
    assert [line for line, _ in origin.seen] == ["GET /1 HTTP/1.1"]


@pytest.mark.parametrize("request_, status", [
    (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http://a/ HTTP/1.1\nHost: a\n\n", 400),
    (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 400),
    (b"GET http://a/" + b"a" * 70000 + b" HTTP/1.1\r\n", 414),
])
def test_bad_http_requests_get_an_answer(pair, request_, status):
    s = socket.create_connection(pair().http, 10)
    s.sendall(request_)
    data, _ = recv_all(s)
    assert data.split()[1] == str(status).encode()


def test_socks_knows_what_it_does_not_do(pair):
    p = pair()
    for request, code in ((b"\5\2\0\1\x7f\0\0\1\0\1", 7),
                          (b"\5\3\0\1\x7f\0\0\1\0\1", 7),
                          (b"\5\1\0\7\x7f\0\0\1\0\1", 8)):
        s = socket.create_connection(p.socks, 10)
        s.sendall(b"\5\1\0" + request)
        recv_exact(s, 2)
        assert socks_reply(s)[0] == code
    s = socket.create_connection(p.socks, 10)
    s.sendall(b"\5\1\2")
    assert recv_exact(s, 2) == b"\5\xff"
    s = socket.create_connection(p.socks, 10)
    s.sendall(b"\3\1\0\1\x7f\0\0\1\0")
    assert recv_all(s)[0] == b""


def kept_alive(name):
    """An origin that ignores Connection: close."""
    def handler(s):
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = s.recv(1)
                if not piece:
                    return
                head += piece
            body = name + head
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(body), body))
    return Target(handler)


def test_each_request_goes_to_its_own_host(pair):
    """Though the origins keep their connections, and though the first request
    asks for an upgrade, which nobody grants."""
    p = pair()
    with kept_alive(b"A") as a, kept_alive(b"B") as b:
        r = curl("--http2", "-x", http_url(p), "-H", "Cookie: mine",
                 "http://%s:%d/1" % a.addr, "http://%s:%d/2" % b.addr)
        assert r.stdout.startswith(b"AGET /1"), r.stderr
        assert b"BGET /2" in r.stdout, r.stderr
        s = socket.create_connection(p.http)
        s.settimeout(10)
        s.sendall(b"GET http://%s:%d/1 HTTP/1.1\r\nHost: a\r\n"
                  b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
                  % (a.addr[0].encode(), a.addr[1]))
        s.sendall(b"GET http://secret.example/ HTTP/1.1\r\nHost: "
                  b"secret.example\r\nProxy-Authorization: secret\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b"secret" not in answer


def test_a_half_close_with_the_request_leaves_nothing(pair):
    """Request, data and FIN in one go: the relay must end all the same."""
    p = pair()
    with Target(lambda s: (s.sendall(b"".join(iter(lambda: s.recv(99), b""))),
                           s.close())) as t:
        before = len(os.listdir(f"/proc/{p.client.pid}/fd"))
        for _ in range(20):
            s = socket.create_connection(p.socks)
            s.sendall(b"\5\1\0" + socks_request(t.addr) + b"hello")
            s.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: s.recv(1 << 16), b""))
            assert answer.endswith(b"hello")
            s.close()
        time.sleep(0.2)
        assert len(os.listdir(f"/proc/{p.client.pid}/fd")) <= before


def test_one_port_for_all_proxies(start, origin):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = start("client", "--mixed", "0", "--socks", "0", "--server",
              "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    url = "http://127.0.0.1:%d/" % origin.server_port
    for listener, schemes in (
            ("mixed", ("socks4", "socks4a", "socks5", "socks5h", "http")),
            ("socks", ("socks4", "socks4a"))):
        for scheme in schemes:
            r = curl("-4", "-x", "%s://%s:%d" % (scheme, *c.addr(listener)),
                     url.replace("127.0.0.1", "localhost"))
            assert r.stdout == BODY, (listener, scheme, r.stderr)
    r = curl("-p", "-x", "http://%s:%d" % c.addr("mixed"), url)
    assert r.stdout == BODY
    # refused: 91; what is no proxy request at all: 400
    port = free_port()
    for data, answer in (
            (b"\4\1" + port.to_bytes(2, "big") + b"\x7f\0\0\1\0", b"\0\x5b"),
            (b"\4\2\0\x50\x7f\0\0\1\0", b"\0\x5b"),
            (b"\x16\3\1\0\0\r\n\r\n", b"HTTP/1.1 400 ")):
        with socket.create_connection(c.addr("mixed"), 10) as s:
            s.sendall(data)
            assert s.recv(99).startswith(answer)
    assert c.stop() == 0 and server.stop() == 0


def test_proxies_that_ask_for_a_password(start, origin):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = start("client", "--mixed", "0.0.0.0:0", "--socks", "0", "--http", "0",
              "--server", "ws://127.0.0.1:%d" % server.addr("ws")[1],
              env={"WSP_PROXY_AUTH": "me:p:w"}).ready()
    url = "http://127.0.0.1:%d/" % origin.server_port
    port = c.addr("mixed")[1]
    for listener, scheme in (("socks", "socks5h"), ("http", "http"),
                             ("mixed", "socks5"), ("mixed", "http")):
        at = "%s://127.0.0.1:%d" % (scheme, c.addr(listener)[1])
        assert curl("-x", at, "-U", "me:p:w", url).stdout == BODY
        assert curl("-x", at, "-U", "me:p:w", "-p", url).stdout == BODY or \
            scheme != "http"
        for user in ("me:wrong", "me:p:w2", "you:p:w", "me:"):
            r = curl("-x", at, "-U", user, url)
            assert r.stdout != BODY
        assert curl("-x", at, url).stdout != BODY
    r = curl("-i", "-x", "http://127.0.0.1:%d" % port, url)
    assert r.stdout.startswith(b"HTTP/1.1 407 ")
    assert b"Proxy-Authenticate: Basic " in r.stdout
    r = curl("-x", "socks4://127.0.0.1:%d" % port, url)
    assert r.returncode and r.stdout != BODY
    assert c.stop() == 0 and server.stop() == 0
    assert "p:w" not in c.log()

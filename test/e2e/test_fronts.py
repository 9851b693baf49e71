# SPDX-License-Identifier: MIT
"""The server behind what usually stands before it: nginx and haproxy, which
end TLS and pass on a path; and what they say of the client."""
import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from harness import (FIN, ROOT, RST, Target, echo_handler, free_port, recv_all,
                     recv_exact, reset, run, socks_connect)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
KEY = base64.b64encode(b"the sample nonce").decode()


def request(path="/", fields=""):
    return (f"GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nProto: 0.10\r\n{fields}\r\n"
            ).encode()


def head_of(s):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += recv_exact(s, 1)
    return head


def v1(source, kind="TCP4", to="127.0.0.1"):
    return f"PROXY {kind} {source[0]} {to} {source[1]} 443\r\n".encode()


def v2(source, tlvs=b"", command=0x21):
    body = socket.inet_aton(source[0]) + socket.inet_aton("127.0.0.1") + \
        struct.pack(">HH", source[1], 443) + tlvs
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(body)) \
        + body


def in_nginx(folder, server):
    """What else nginx needs, to run as whoever runs the tests."""
    temp = "\n".join(f"{k}_temp_path {folder}/{k};" for k in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
daemon off; master_process off; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{ access_log off; {temp}
{server}
}}
"""


def nginx(port, certs, upstream, timeout):
    return f"""
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certs["good"][0]};
    ssl_certificate_key {certs["good"][1]};
    location / {{ return 404; }}
    location /tunnel {{
        proxy_pass http://{upstream};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffering off;
        proxy_read_timeout {timeout};
        proxy_send_timeout {timeout};
    }}
}}
"""


def haproxy(port, folder, upstream, timeout, send):
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client {timeout}
    timeout server {timeout}
frontend front
    bind 127.0.0.1:{port} ssl crt {folder}/both.pem alpn h2,http/1.1
    option forwardfor
    use_backend wsp if {{ path /tunnel }}
    default_backend none
backend none
    http-request deny deny_status 404
backend wsp
    server wsp {upstream} check inter 200ms {send}
"""


class Front:
    """nginx or haproxy, with TLS, before a wsp."""

    def __init__(self, kind, folder, certs, config, path="/tunnel"):
        """config(port) -> the text that is the user's own."""
        if not (program := shutil.which(kind, path=os.environ["PATH"] +
                                        ":/usr/sbin:/sbin")):
            pytest.skip(f"{kind} is not installed")
        self.port = free_port()
        self.log = folder / f"{kind}-{self.port}.log"
        file = folder / f"{kind}-{self.port}.conf"
        with open(certs["good"][0]) as cert, open(certs["good"][1]) as key:
            (folder / "both.pem").write_text(cert.read() + key.read())
        text = config(self.port)
        file.write_text(in_nginx(folder, text) if kind == "nginx" else text)
        argv = [program, "-p", str(folder), "-e", str(self.log), "-c"] \
            if kind == "nginx" else [program, "-db", "-f"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*argv, str(file)], stdout=log,
                                            stderr=log)
        self.url = f"wss://localhost:{self.port}{path}"
        self.wait()

    def wait(self):
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert self.process.poll() is None and time.monotonic() < until, \
                self.log.read_text()
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


# name, program, whether the upstream is a Unix socket, what haproxy sends
WAYS = {
    "nginx": ("nginx", False, ""),
    "nginx-unix": ("nginx", True, ""),
    "haproxy": ("haproxy", False, ""),
    "haproxy-unix": ("haproxy", True, ""),
    "haproxy-v1": ("haproxy", False, "send-proxy"),
    "haproxy-v2": ("haproxy", False, "send-proxy-v2"),
    "haproxy-unix-v2": ("haproxy", True, "send-proxy-v2"),
}


@pytest.fixture
def behind(start, tmp_path, certs):
    """make(way) -> server, front; as a context."""

    @contextlib.contextmanager
    def make(way, *args, env=None, timeout="60s"):
        program, local, send = WAYS[way]
        at = f"unix:{tmp_path}/wsp.sock" if local else "127.0.0.1:0"
        server = start("server", "--listen", at, "--path", "/tunnel",
                       "--allow", "loopback", *args, *(
                           ("--proxy-protocol",) if send else ()),
                       env=env).ready()
        upstream = "127.0.0.1:%d" % server.addr("ws")[1] if not local else \
            f"unix:{tmp_path}/wsp.sock" if program == "nginx" else \
            f"unix@{tmp_path}/wsp.sock"
        with Front(program, tmp_path, certs, lambda port: nginx(
                port, certs, upstream, timeout) if program == "nginx" else
                haproxy(port, tmp_path, upstream, timeout, send)) as front:
            yield server, front
        assert server.stop() == 0

    return make


@pytest.fixture
def client(start, certs):
    def make(front, env=None):
        return start("client", "--socks", "0", "--http", "0", "--server",
                     front.url, "--tls-ca", certs["ca"], env=env).ready()

    return make


class Origin(Target):
    """GET: the body. PUT: the SHA-256 of what was sent."""

    def __init__(self, body=b""):
        self.body = body
        super().__init__(self.serve)

    def serve(self, s):
        head = head_of(s)
        if b"100-continue" in head:
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        n = re.search(rb"Content-Length: (\d+)", head)
        body = self.body
        if n:
            body = hashlib.sha256(recv_exact(s, int(n[1]))).hexdigest()
            body = body.encode()
        s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body)
        s.close()


@pytest.mark.parametrize("way", WAYS)
def test_downloads_and_uploads_with_curl(behind, client, tmp_path, way):
    data = os.urandom(8 << 20)
    (tmp_path / "data").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with behind(way) as (_, front), Origin(data) as origin:
        c = client(front)
        for proxy in ("socks5h://%s:%d" % c.addr("socks"),
                      "http://%s:%d" % c.addr("http")):
            url = "http://%s:%d/" % origin.addr
            r = run("curl", "-sS", "--noproxy", "", "-x", proxy, url)
            assert r.returncode == 0, r.stderr
            assert hashlib.sha256(r.stdout).hexdigest() == digest
            r = run("curl", "-sS", "--noproxy", "", "-x", proxy, "-T",
                    tmp_path / "data", url)
            assert (r.returncode, r.stdout) == (0, digest.encode()), r.stderr
        assert not origin.errors
        assert c.stop() == 0


@pytest.mark.parametrize("way", ["nginx-unix", "haproxy-v2"])
def test_fifty_at_once(behind, client, way):
    data = os.urandom(1 << 20)

    with behind(way) as (_, front), Target(echo_handler) as t:
        c = client(front)
        bad = []

        def one():
            with socks_connect(c.addr("socks"), t.addr) as s:
                w = threading.Thread(target=lambda: (
                    s.sendall(data), s.shutdown(socket.SHUT_WR)))
                w.start()
                if recv_all(s) != (data, FIN):
                    bad.append(1)
                w.join()

        threads = [threading.Thread(target=one) for _ in range(50)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        assert not bad
        assert c.log().count("tunnel up") == 1
        assert c.stop() == 0


def idle(behind, client, way, seconds, env=None, timeout="60s"):
    """A stream that says nothing for longer than the front waits."""
    def patient(s):
        s.settimeout(seconds + 60)
        echo_handler(s)

    with behind(way, env=env, timeout=timeout) as (server, front), \
            Target(patient) as t:
        c = client(front, env=env)
        s = socks_connect(c.addr("socks"), t.addr)
        time.sleep(seconds)
        s.sendall(b"still there")
        assert recv_exact(s, 11) == b"still there"
        s.close()
        for p in (c, server):
            assert p.log().count("tunnel up") == 1, p.log()
        assert c.stop() == 0


@pytest.mark.parametrize("way", ["nginx", "nginx-unix", "haproxy"])
def test_the_front_never_finds_it_idle(behind, client, way):
    """Pings go out every 15 seconds, every 0.75 here; the front waits 2."""
    idle(behind, client, way, 5, {"WSP_TEST_SPEED": "20"}, "2s")


@pytest.mark.long
@pytest.mark.parametrize("way", ["nginx", "nginx-unix", "haproxy",
                                 "haproxy-v2"])
def test_the_usual_time_outs_of_60_seconds(behind, client, way):
    idle(behind, client, way, 75)


@pytest.mark.parametrize("way", ["nginx", "haproxy"])
def test_another_path_is_not_found(behind, start, certs, way):
    with behind(way) as (_, front):
        c = start("client", "--socks", "0", "--server", front.url + "x",
                  "--tls-ca", certs["ca"])
        assert c.wait() == 7, c.log()


def recipe(name, edits):
    """A configuration of docs/fronts.md, but for names and paths."""
    with open(os.path.join(ROOT, "docs/fronts.md")) as f:
        text = re.search(rf"^```{name}\n(.*?)^```", f.read(),
                         re.M | re.S)[1]
    for a, b in edits.items():
        assert a in text, a
        text = text.replace(a, b)
    return text


@pytest.mark.parametrize("name", ["nginx", "haproxy", "haproxy-tcp"])
def test_the_recipes_of_the_docs(start, client, tmp_path, certs, name):
    cert, key = certs["good"]
    path = f"{tmp_path}/s"
    args = ("--proxy-protocol",)
    if name == "nginx":
        args = ("--unix-mode", "0660", "--trust-forwarded", "unix")
    if name == "haproxy-tcp":
        args += ("--tls-cert", cert, "--tls-key", key)
    server = start("server", "--listen", f"unix:{path}" if name == "nginx"
                   else "127.0.0.1:0", "--path", "/tunnel", "--allow",
                   "loopback", *args).ready()
    at = "" if name == "nginx" else "127.0.0.1:%d" % server.addr(
        "wss" if name == "haproxy-tcp" else "ws")[1]

    def config(port):
        if name == "nginx":
            return recipe(name, {
                "443": f"127.0.0.1:{port}", "/etc/ssl/example.pem": cert,
                "/etc/ssl/example.key": key, "/run/wsp/wsp.sock": path})
        edits = {":443": f"127.0.0.1:{port}", "127.0.0.1:8010": at}
        if name == "haproxy":
            edits["/etc/ssl/example-both.pem"] = f"{tmp_path}/both.pem"
        else:
            edits["tunnel.example.com"] = "localhost"
        return recipe(name, edits)

    with Front(name.split("-")[0], tmp_path, certs, config) as front, \
            Origin(b"works") as origin:
        c = client(front)
        r = run("curl", "-sS", "-x", "socks5h://%s:%d" % c.addr("socks"),
                "http://%s:%d/" % origin.addr)
        assert (r.returncode, r.stdout) == (0, b"works"), r.stderr
        server.wait_log("client 127.0.0.1")
        assert c.stop() == 0
    assert server.stop() == 0


def through(front, certs, source, fields=""):
    """A WebSocket handshake through the front, from an address of ours."""
    context = ssl.create_default_context(cafile=certs["ca"])
    context.set_alpn_protocols(["http/1.1"])
    s = context.wrap_socket(
        socket.create_connection(("127.0.0.1", front.port), 10,
                                 source_address=(source, 0)),
        server_hostname="localhost")
    s.sendall(request("/tunnel", fields))
    assert b" 101 " in head_of(s)
    return s


@pytest.mark.parametrize("way", WAYS)
def test_the_log_names_the_client(behind, certs, way):
    """By PROXY with its port, by X-Forwarded-For without."""
    args = () if WAYS[way][2] else ("--trust-forwarded", "unix",
                                    "--trust-forwarded", "127.0.0.1/32")
    with behind(way, *args) as (server, front):
        s = through(front, certs, "127.0.0.5")
        port = f":{s.getsockname()[1]}" if WAYS[way][2] else ""
        server.wait_log(f"client 127.0.0.5{port}: tunnel up")
        s.close()
        server.wait_log(f"client 127.0.0.5{port}: tunnel down")
        if not WAYS[way][2]:  # what the client has invented is no proof
            s = through(front, certs, "127.0.0.6",
                        "X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n")
            server.wait_log("client 127.0.0.6: tunnel up")
            assert "192.0.2.1" not in server.log()
            s.close()


def test_the_checks_of_haproxy_are_no_news(behind):
    """It connects and goes, five times a second here."""
    for way in ("haproxy", "haproxy-v1", "haproxy-v2"):
        with behind(way) as (server, _):
            time.sleep(1)
            assert "refused" not in server.log()


def ws(start, *args, **kw):
    return start("server", "--listen", "127.0.0.1:0", *args, **kw).ready()


def connect(server, *data):
    s = socket.create_connection(server.addr("ws"), 10)
    for d in data:
        s.sendall(d)
    return s


def test_forwarded_is_ignored_unless_trusted(start):
    field = "X-Forwarded-For: 192.0.2.1\r\n"
    for args, name in (((), "127.0.0.1:"),
                       (("--trust-forwarded", "10.0.0.0/8"), "127.0.0.1:"),
                       (("--trust-forwarded", "unix"), "127.0.0.1:"),
                       (("--trust-forwarded", "127.0.0.0/8"), "192.0.2.1:")):
        server = ws(start, *args)
        s = connect(server, request(fields=field))
        assert b" 101 " in head_of(s)
        server.wait_log(f"client {name}")
        server.wait_log("tunnel up")
        s.close()
        assert server.stop() == 0
        assert ("192.0.2.1" in server.log()) == (name == "192.0.2.1:")


@pytest.mark.parametrize("value", [
    "\x1b[31mred", "unknown", "_hidden", "192.0.2.1 evil", "x" * 5000,
    "192.0.2.1%n", "1.2.3", ",,,"])
def test_text_of_a_trusted_front_is_not_believed_blindly(start, value):
    server = ws(start, "--trust-forwarded", "127.0.0.1")
    s = connect(server, request(fields=f"X-Forwarded-For: {value}\r\n"))
    answer = head_of(s)
    s.close()
    if b" 101 " in answer:
        server.wait_log("client 127.0.0.1:")
    assert value not in server.log()
    assert server.stop() == 0


@pytest.mark.parametrize("header,name", [
    (v1(("192.0.2.7", 1234)), "192.0.2.7:1234"),
    (v1(("2001:db8::7", 1234), "TCP6", "::1"), "[2001:db8::7]:1234"),
    (v2(("192.0.2.7", 1234)), "192.0.2.7:1234"),
    (v2(("192.0.2.7", 0), os.urandom(5000)), "192.0.2.7:0"),
    (v2(("192.0.2.7", 1234), command=0x20), "127.0.0.1:"),
    (SIGNATURE + b"\x20\0\0\0", "127.0.0.1:"),
    (SIGNATURE + b"\x21\x31\0\xd8" + b"/" * 216, "127.0.0.1:"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
])
def test_proxy_headers(start, header, name):
    server = ws(start, "--proxy-protocol")
    glued = connect(server, header + request() + b"\x88\x80\0\0\0\0")
    assert b" 101 " in head_of(glued)
    assert recv_all(glued)[0][:1] == b"\x88"
    slow = connect(server)
    slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(0, len(header), 1 + len(header) // 60):
        slow.sendall(header[i:i + 1 + len(header) // 60])
        time.sleep(0.001)
    slow.sendall(request())
    assert b" 101 " in head_of(slow)
    server.wait_log(f"client {name}")
    slow.close()
    glued.close()
    assert server.stop() == 0


@pytest.mark.parametrize("data", [
    request(), b"PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n", b"\x16\3\1\2\0\1",
    b"PROXY " + b"x" * 200, SIGNATURE + b"\x21\x11\0\0", SIGNATURE[:-1] + b"x",
    b"\0", b"PROXY TCP4 host host 1 1\r\n"])
def test_what_is_no_proxy_header(start, data):
    server = ws(start, "--proxy-protocol")
    s = connect(server, data)
    assert recv_all(s) == (b"", RST)
    server.wait_log("no PROXY header")
    good = connect(server, v1(("192.0.2.1", 1)), request())
    assert b" 101 " in head_of(good)
    good.close()
    assert server.stop() == 0


def test_a_flood_of_bad_headers_is_no_flood_of_lines(start):
    server = ws(start, "--proxy-protocol")
    for _ in range(200):
        recv_all(connect(server, b"x"))
    assert server.log().count("no PROXY header") < 5
    assert server.stop() == 0


def test_headers_have_a_deadline(start):
    """10 seconds for all of the handshake; 0.5 here."""
    server = ws(start, "--proxy-protocol", env={"WSP_TEST_SPEED": "20"})
    for data in (b"", b"PROXY TCP4 1.2.3.4", SIGNATURE,
                 SIGNATURE + b"\x21\x11\xff\xff", v1(("1.2.3.4", 5)),
                 v1(("1.2.3.4", 5)) + b"GET "):
        s = connect(server, data)
        began = time.monotonic()
        recv_all(s)
        assert time.monotonic() - began < 3
    assert server.stop() == 0


def test_ends_within_a_header(start):
    server = ws(start, "--proxy-protocol", "-v")
    for data in (b"", b"PROXY TCP4 1.2.3.4", SIGNATURE + b"\x21\x11\xff\xff"):
        s = connect(server, data)
        s.shutdown(socket.SHUT_WR)
        assert recv_all(s)[0] == b""
        reset(connect(server, data))
    held = connect(server, b"PROXY ")
    server.wait_log("has gone")
    assert server.stop() == 0
    assert recv_all(held) == (b"", RST)


def test_tls_begins_behind_the_header(start, certs):
    cert, key = certs["good"]
    server = ws(start, "--proxy-protocol", "--tls-cert", cert, "--tls-key",
                key)
    s = socket.create_connection(server.addr("wss"), 10)
    s.sendall(v2(("192.0.2.7", 99)))
    context = ssl.create_default_context(cafile=certs["ca"])
    t = context.wrap_socket(s, server_hostname="localhost")
    t.sendall(request())
    assert b" 101 " in head_of(t)
    server.wait_log("client 192.0.2.7:99: tunnel up")
    t.close()
    s = socket.create_connection(server.addr("wss"), 10)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(s, server_hostname="localhost")
    assert server.stop() == 0


def test_forwarded_from_whom_proxy_names(start):
    """Two fronts in a row: the address in PROXY is the one that is trusted."""
    server = ws(start, "--proxy-protocol", "--trust-forwarded", "10.0.0.0/8")
    field = "X-Forwarded-For: 198.51.100.9\r\n"
    a = connect(server, v1(("10.1.2.3", 5)), request(fields=field))
    server.wait_log("client 198.51.100.9: tunnel up")
    b = connect(server, v1(("192.0.2.4", 5)), request(fields=field))
    server.wait_log("client 192.0.2.4:5: tunnel up")
    a.close()
    b.close()
    assert server.stop() == 0


def test_a_hidden_server_behind_a_front(start, tmp_path):
    """The header comes before the question whose visitor it is."""
    (tmp_path / "index.html").write_text("a page")
    token = "a token of enough bytes"
    server = ws(start, "--proxy-protocol", "--trust-forwarded", "192.0.2.7",
                "--static", tmp_path, "--token", token)
    header = v2(("192.0.2.7", 1234))
    s = connect(server, header + b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    assert recv_all(s)[0].endswith(b"a page")
    s = connect(server, header, request(
        fields=f"Auth: {token}\r\nX-Forwarded-For: 192.0.2.8\r\n"))
    assert b" 101 " in head_of(s)
    server.wait_log("client 192.0.2.8: tunnel up")
    s.close()
    assert server.stop() == 0


@pytest.mark.parametrize("args,text", [
    (("--trust-forwarded", "here"), "not an address"),
    (("--trust-forwarded", "1.2.3.4/40"), "bits"),
    (("--trust-forwarded", "unix:/run/x"), "not an address"),
])
def test_usage_errors(start, args, text):
    c = start("server", *args)
    assert c.wait() == 2 and text in c.log(), c.log()

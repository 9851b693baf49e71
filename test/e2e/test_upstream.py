# SPDX-License-Identifier: MIT
"""The way to the server through somebody else's proxy."""
import asyncio
import base64
import socket
import ssl
import threading

import pytest

from harness import (Target, echo_handler, recv_exact, socks_connect)


def pipe(a, b):
    def one(x, y):
        try:
            while piece := x.recv(1 << 16):
                y.sendall(piece)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    threading.Thread(target=one, args=(b, a), daemon=True).start()
    one(a, b)


def head_of(s):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += recv_exact(s, 1)
    return head.decode()


class HttpProxy(Target):
    """CONNECT, with Basic if auth; remembers what was asked for."""

    def __init__(self, auth=None, refusal=None):
        self.asked = []
        self.auth = auth and base64.b64encode(auth.encode()).decode()
        self.refusal = refusal
        super().__init__(self.serve)

    def serve(self, s):
        head = head_of(s)
        self.asked.append(head)
        if self.auth and f"Proxy-Authorization: Basic {self.auth}\r\n" \
                not in head:
            s.sendall(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\n"
                      b"Proxy-Authenticate: Basic realm=\"x\"\r\n"
                      b"Content-Length: 0\r\n\r\n")
            s.close()
            return
        if self.refusal:
            s.sendall(self.refusal)
            s.close()
            return
        host, port = head.split()[1].rsplit(":", 1)
        up = socket.create_connection((host.strip("[]"), int(port)), 10)
        s.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
        pipe(s, up)


class SocksProxy(Target):
    def __init__(self, auth=None):
        self.asked = []
        self.auth = auth
        super().__init__(self.serve)

    def serve(self, s):
        methods = recv_exact(s, recv_exact(s, 2)[1])
        if self.auth:
            if 2 not in methods:
                s.sendall(b"\5\xff")
                return
            s.sendall(b"\5\2")
            recv_exact(s, 1)
            user = recv_exact(s, recv_exact(s, 1)[0])
            password = recv_exact(s, recv_exact(s, 1)[0])
            good = (user + b":" + password).decode() == self.auth
            s.sendall(b"\1" + (b"\0" if good else b"\1"))
            if not good:
                return
        else:
            s.sendall(b"\5\0")
        assert recv_exact(s, 4) == b"\5\1\0\3"
        host = recv_exact(s, recv_exact(s, 1)[0]).decode()
        port = int.from_bytes(recv_exact(s, 2), "big")
        self.asked.append((host, port))
        up = socket.create_connection((host, port), 10)
        s.sendall(b"\5\0\0\3\4name\0\1")
        pipe(s, up)


class TlsFront:
    """Ends TLS in front of a server: what comes goes on in clear."""

    def __init__(self, cert, to):
        self.to, self.loop = to, asyncio.new_event_loop()
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(*cert)
        self.server = self.loop.run_until_complete(asyncio.start_server(
            self.serve, "127.0.0.1", 0, ssl=self.ctx))
        self.addr = self.server.sockets[0].getsockname()[:2]
        self.thread = threading.Thread(target=self.loop.run_forever,
                                       daemon=True)
        self.thread.start()

    async def serve(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(*self.to)

        async def one(a, b):
            try:
                while piece := await a.read(1 << 16):
                    b.write(piece)
                    await b.drain()
            except OSError:
                pass
            writer.close()
            up_writer.close()

        await asyncio.gather(one(reader, up_writer), one(up_reader, writer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def client_through(start, server, *args, env=None, tls=""):
    return start("client", "--socks", "0", "--server",
                 "ws%s://127.0.0.1:%d" % (tls, server.addr("ws" + tls)[1]),
                 *args, env=env)


@pytest.mark.parametrize("auth", [None, "me:p@ss%3A w"])
@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("tls", ["", "s"])
def test_through_a_proxy(start, certs, kind, auth, tls):
    cert, key = certs["good"]
    server = start("server", "--listen", "127.0.0.1:0", *(
        ("--tls-cert", cert, "--tls-key", key) if tls else ())).ready()
    with (HttpProxy if kind == "http" else SocksProxy)(auth) as proxy, \
            Target(echo_handler) as t:
        user = "me:p%40ss%253A%20w@" if auth else ""
        c = client_through(start, server, "--proxy", "%s://%s%s:%d" % (
            kind, user, *proxy.addr), "--tls-ca", certs["ca"], tls=tls).ready()
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x" * 1000000)
        assert recv_exact(s, 1000000) == b"x" * 1000000
        assert proxy.asked
        s.close()
        assert c.stop() == 0
        assert "p@ss" not in c.log() and "p%40ss" not in c.log()
    assert server.stop() == 0


@pytest.mark.parametrize("tls", ["", "s"])
def test_through_a_proxy_over_tls(start, certs, tls):
    """For wss that is TLS in TLS; the big pieces fill many records."""
    cert, key = certs["good"]
    server = start("server", "--listen", "127.0.0.1:0", *(
        ("--tls-cert", cert, "--tls-key", key) if tls else ())).ready()
    data = bytes(range(256)) * 40000
    with HttpProxy("me:secret") as plain, \
            TlsFront(certs["good"], plain.addr) as front, \
            Target(echo_handler) as t:
        c = client_through(start, server, "--proxy", "https://me:secret@"
                           "localhost:%d" % front.addr[1], "--tls-ca",
                           certs["ca"], tls=tls).ready()
        s = socks_connect(c.addr("socks"), t.addr)
        threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
        assert recv_exact(s, len(data)) == data
        s.close()
        assert plain.asked[0].startswith(
            "CONNECT 127.0.0.1:%d " % server.addr("ws" + tls)[1])
        assert c.stop() == 0
        assert "through https://localhost" in c.log()
        assert "secret" not in c.log()
    assert server.stop() == 0


@pytest.mark.parametrize("name,host,code,text", [
    ("good", "127.0.0.1", 0, ""),
    ("name", "localhost", 5, "for another name"),
    ("self", "localhost", 5, "not signed"),
    ("expired", "localhost", 5, "expired"),
])
def test_the_certificate_of_a_proxy(start, certs, name, host, code, text):
    """Verified whatever is given for the server: --insecure, --tls-pin."""
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert",
                   *certs["self"][:1], "--tls-key", certs["self"][1]).ready()
    with HttpProxy() as plain, TlsFront(certs[name], plain.addr) as front:
        c = client_through(start, server, "--insecure", "--tls-ca",
                           certs["ca"], "--proxy",
                           "https://%s:%d" % (host, front.addr[1]), tls="s")
        if code:
            assert c.wait() == code, c.log()
            assert text in c.log() and "https://" + host in c.log()
            assert not plain.asked
        else:
            assert c.ready().stop() == 0
    assert server.stop() == 0


def test_an_https_proxy_that_speaks_no_tls(start, certs):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    with HttpProxy(refusal=b"x") as plain:
        plain.handler = lambda s: (s.recv(999), s.sendall(
            b"HTTP/1.1 400 Bad Request\r\n\r\n"), s.close())
        c = client_through(start, server, "--tls-ca", certs["ca"], "--proxy",
                           "https://127.0.0.1:%d" % plain.addr[1])
        assert c.wait() == 4 and "does not speak TLS" in c.log()
    assert server.stop() == 0


def test_a_wsp_reaches_its_server_through_another_wsp(pair, start):
    """Both proxies of a tunnel can lead to a second one."""
    p = pair()
    server = start("server", "--listen", "127.0.0.1:0").ready()
    with Target(echo_handler) as t:
        for url in ("socks5://%s:%d" % p.socks, "http://%s:%d" % p.http):
            c = client_through(start, server, "--proxy", url).ready()
            s = socks_connect(c.addr("socks"), t.addr)
            s.sendall(b"hello")
            assert recv_exact(s, 5) == b"hello"
            s.close()
            assert c.stop() == 0
    assert server.stop() == 0


@pytest.mark.parametrize("answer,code,text", [
    (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\n"
     b"Proxy-Authenticate: NTLM\r\n\r\n", 4, "Negotiate, NTLM"),
    (b"HTTP/1.1 407 No\r\nProxy-Authenticate: basic realm=\"a\"\r\n\r\n", 6,
     "407"),
    (b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM, Basic realm=\"a\"\r\n\r\n",
     6, "user:password"),
    (b"HTTP/1.1 401 No\r\n\r\n", 6, "401"),
    (b"HTTP/1.1 403 No\r\n\r\n", 4, "403"),
    (b"SSH-2.0-x\r\n", 4, "no HTTP answer"),
    (b"HTTP/1.1 200 Yes\r\n\r\nand more", 4, "more than it should"),
])
def test_proxies_that_refuse(start, answer, code, text):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    with HttpProxy(refusal=answer) as proxy:
        c = client_through(start, server, "--proxy", "http://%s:%d"
                           % proxy.addr)
        assert c.wait() == code, c.log()
        assert text in c.log()
    assert server.stop() == 0


def test_a_wrong_password_is_fatal(start):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    for proxy in (HttpProxy("a:b"), SocksProxy("a:b")):
        with proxy:
            c = client_through(
                start, server, "--proxy", "%s://a:wrong@%s:%d" % (
                    "http" if isinstance(proxy, HttpProxy) else "socks5",
                    *proxy.addr))
            assert c.wait() == 6, c.log()
    assert server.stop() == 0


def test_a_proxy_that_is_silent_or_away(start):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    done = threading.Event()
    with Target(lambda s: done.wait(20)) as mute:
        for at in (mute.addr, ("127.0.0.1", 1)):
            c = client_through(start, server, "--connect-timeout", "0.5",
                               "--wait", "2", "--proxy", "%s:%d" % at)
            assert c.wait() == 4
            assert "http://%s:%d" % at in c.log()
        done.set()
    assert server.stop() == 0


def test_the_variables_that_curl_reads(start):
    """A server on this machine is reached directly: another name for it."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    port = server.addr("ws")[1]
    url = "ws://server.test:%d" % port

    class Resolving(HttpProxy):
        def serve(self, s):
            head = head_of(s)
            self.asked.append(head)
            up = socket.create_connection(("127.0.0.1", port), 10)
            s.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            pipe(s, up)

    with Resolving() as proxy:
        at = "http://%s:%d" % proxy.addr
        for env in ({"http_proxy": at}, {"ALL_PROXY": at},
                    {"all_proxy": at[7:], "no_proxy": "other.test"}):
            c = start("client", "--socks", "0", "--server", url,
                      env=env).ready()
            assert c.stop() == 0
        assert len(proxy.asked) == 3
        assert proxy.asked[0].startswith("CONNECT server.test:%d " % port)
        # not asked: no_proxy, the other scheme's variable, --proxy none
        for env, args in (
                ({"http_proxy": at, "no_proxy": "a, .test"}, ()),
                ({"http_proxy": at, "NO_PROXY": "*"}, ()),
                ({"HTTP_PROXY": at}, ()), ({"https_proxy": at}, ()),
                ({"http_proxy": at}, ("--proxy", "none"))):
            c = start("client", "--socks", "0", "--server", url, "--wait",
                      "0.3", *args, env=env)
            assert c.wait() == 4
        assert len(proxy.asked) == 3
        c = client_through(start, server, env={"http_proxy": at}).ready()
        assert c.stop() == 0 and len(proxy.asked) == 3
    c = start("client", "--socks", "0", "--server", url,
              env={"http_proxy": "ftp://x:1"})
    assert c.wait() == 2 and "http_proxy" in c.log()
    assert server.stop() == 0


def test_host_sni_and_headers(start, certs):
    heads = []

    def handler(s):
        heads.append(head_of(s))
        s.close()

    with Target(handler) as t:
        c = start("client", "--socks", "0", "--server",
                  "ws://127.0.0.1:%d/p" % t.addr[1], "--host",
                  "front.example", "--header", "X-A: one", "--header=X-B:2",
                  "--wait", "0.5")
        assert c.wait() == 4
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET /p HTTP/1.1"
    assert "Host: front.example" in lines
    assert "X-A: one" in lines and "X-B:2" in lines
    cert, key = certs["name"]  # of other.example
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                   "--tls-key", key).ready()
    at = "wss://127.0.0.1:%d/" % server.addr("wss")[1]
    c = start("client", "--socks", "0", "--server", at, "--tls-ca",
              certs["ca"])
    assert c.wait() == 5
    c = start("client", "--socks", "0", "--server", at, "--tls-ca",
              certs["ca"], "--sni", "other.example").ready()
    assert c.stop() == 0 and server.stop() == 0

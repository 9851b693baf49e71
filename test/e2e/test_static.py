# SPDX-License-Identifier: MIT
"""--static: the server is a small web site to all who do not know the token."""
import hashlib
import os
import socket
import time

import pytest

from harness import FIN, RST, WSP, count, recv_all, recv_exact, run

TOKEN = "a token of enough bytes"
BIG = os.urandom(5 << 20)


@pytest.fixture
def folder(tmp_path):
    d = tmp_path / "www"
    (d / "sub").mkdir(parents=True)
    (d / "index.html").write_text("<h1>A site</h1>\n")
    (d / "sub" / "index.html").write_text("sub\n")
    (d / "sub" / "a b.css").write_text("x {}\n")
    (d / "big").write_bytes(BIG)
    (d / "empty.txt").write_bytes(b"")
    (d / ".hidden").write_text("secret\n")
    (tmp_path / "outside").write_text("secret\n")
    (d / "link").symlink_to(tmp_path / "outside")
    (d / "folder").symlink_to(tmp_path)
    os.mkfifo(d / "fifo")
    return d


def site(start, folder, *args, **kw):
    return start("server", "--listen", "127.0.0.1:0", "--token", TOKEN,
                 "--path", "/tunnel", "--static", folder, *args, **kw).ready()


def ask(addr, data, half=True):
    with socket.create_connection(addr, 20) as s:
        s.sendall(data)
        if half:
            s.shutdown(socket.SHUT_WR)
        return recv_all(s)


def get(path, *fields, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *fields, "",
                        ""]).encode()


def split(answers):
    """[(status, fields, content)] of what has a length each."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        fields = dict(f.split(": ", 1) for f in fields)
        fields = {name.lower(): value for name, value in fields.items()}
        n = int(fields.get("content-length", 0))
        found.append((int(status.split()[1]), fields, rest[:n]))
        answers = rest[n:]
    return found


def one(server, path, *fields, **kw):
    data, end = ask(server.addr("ws"), get(path, *fields, **kw))
    assert end == FIN
    return split(data)[0]


def test_files_have_types_lengths_and_dates(start, folder):
    server = site(start, folder)
    for path, kind, content in (
            ("/", "text/html", b"<h1>A site</h1>\n"),
            ("/index.html?q", "text/html", b"<h1>A site</h1>\n"),
            ("/sub/", "text/html", b"sub\n"),
            ("/sub/a%20b.css", "text/css", b"x {}\n"),
            ("/empty.txt", "text/plain", b""),
            ("http://h/big", "application/octet-stream", BIG)):
        status, fields, got = one(server, path)
        assert (status, fields["content-type"]) == (200, kind)
        assert got == content
        date = fields["last-modified"]
        assert one(server, path, f"If-Modified-Since: {date}")[0] == 304
        assert one(server, path, "If-Modified-Since: "
                   "Sun, 06 Nov 1994 08:49:37 GMT")[0] == 200
    status, fields, _ = one(server, "/sub")
    assert (status, fields["location"]) == (301, "/sub/")
    assert server.stop() == 0


def test_a_file_older_than_1970_is_served(start, folder):
    old = folder / "old.txt"
    old.write_text("old\n")
    os.utime(old, (-86400, -86400))
    server = site(start, folder)
    status, fields, got = one(server, "/old.txt")
    assert (status, got) == (200, b"old\n")
    date = fields["last-modified"]
    assert date == "Wed, 31 Dec 1969 00:00:00 GMT"
    assert one(server, "/old.txt", f"If-Modified-Since: {date}")[0] == 304
    assert server.stop() == 0


def test_curl_and_the_token(start, folder, certs):
    cert, key = certs["good"]
    server = site(start, folder, "--tls-cert", cert, "--tls-key", key)
    port = server.addr("wss")[1]
    url = f"https://localhost:{port}/"
    r = run("curl", "-s", "--cacert", certs["ca"], url + "big", url, "-o", "-",
            "-o", "-", "-w", "%{http_code} %{num_connects}\n")
    assert r.stdout == BIG + b"200 1\n<h1>A site</h1>\n200 0\n"
    server_url = f"wss://localhost:{port}/tunnel"
    c = start("client", "--socks", "0", "--tls-ca", certs["ca"], "--server",
              server_url, "--token", TOKEN).ready()
    assert c.stop() == 0
    c = start("client", "--socks", "0", "--tls-ca", certs["ca"], "--server",
              server_url, "--token", TOKEN + "x")
    assert c.wait() == 7
    assert "the server answers 404; are the path of the URL" in c.log()
    assert server.stop() == 0


def test_nothing_but_files_of_the_folder(start, folder):
    server = site(start, folder)
    for path in ("/.hidden", "/link", "/folder/outside", "/../outside",
                 "/%2e%2e/outside", "/sub/../../outside", "/sub%2f..%2fbig",
                 "//big", "/sub//index.html", "/fifo", "/none", "/big/",
                 "/big/x", "/" + "a" * 300, "/tunnel"):
        status, _, got = one(server, path)
        assert status == 404 and b"secret" not in got, path
    for path, status in (("/%00", 400), ("/%zz", 400), ("*", 400),
                         ("/" + "a" * 2000, 414)):
        assert one(server, path)[0] == status, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        status, fields, _ = one(server, "/", method=method)
        assert (status, fields["allow"]) == (405, "GET, HEAD")
    assert server.stop() == 0


def test_bad_requests_are_answered_and_the_last(start, folder):
    server = site(start, folder)
    for data, status in (
            (b"GET /\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 20000, 431),
            (get("/", "Content-Length: 5") + b"hello", 200),
            (get("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 200)):
        got, end = ask(server.addr("ws"), data + get("/"), half=False)
        answers = split(got)
        assert [a[0] for a in answers] == [status], data
        assert answers[0][1]["connection"] == "close" and end == FIN
    assert server.stop() == 0


def test_pipelined_requests_are_answered_in_order(start, folder):
    server = site(start, folder)
    n = count(200, 5000)
    asked = [get("/"), get("/none"), get("/big", method="HEAD"),
             get("/sub/")] * n
    with socket.create_connection(server.addr("ws"), 20) as s:
        for byte in asked[0]:
            s.sendall(bytes([byte]))
        assert recv_exact(s, 12) == b"HTTP/1.1 200"
    got, end = ask(server.addr("ws"), b"".join(asked))
    assert end == FIN
    statuses = []
    while got:  # HEAD has a length and no content
        head, _, got = got.partition(b"\r\n\r\n")
        statuses.append(int(head.split()[1]))
        if len(statuses) % 4 != 3:
            length = head.split(b"Content-Length: ")[1].split()[0]
            got = got[int(length):]
    assert statuses == [200, 404, 200, 200] * n
    assert server.stop() == 0


def test_who_reads_slowly_gets_all_and_costs_little(start, folder):
    server = site(start, folder)
    before = server.rss()
    clients = []
    for _ in range(20):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20)
        s.connect(server.addr("ws"))
        s.sendall(get("/big") * 20)
        clients.append(s)
    time.sleep(1)
    assert server.rss() - before < 20 * (300 << 10)
    s = clients[7]
    s.shutdown(socket.SHUT_WR)
    for _ in range(20):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += recv_exact(s, 1)
        assert hashlib.sha256(recv_exact(s, len(BIG))).digest() == \
            hashlib.sha256(BIG).digest()
    assert recv_all(s) == (b"", FIN)
    for s in clients:
        s.close()
    assert server.stop() == 0


def test_a_file_that_becomes_shorter_is_a_reset(start, folder):
    server = site(start, folder)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20)
        s.connect(server.addr("ws"))
        s.sendall(get("/big"))
        recv_exact(s, 100)
        os.truncate(folder / "big", 1000)
        data, end = recv_all(s)
        assert end == RST and len(data) < len(BIG)
    assert server.stop() == 0


def test_who_says_nothing_has_a_minute(start, folder):
    server = site(start, folder, env={"WSP_TEST_SPEED": "50"})
    for data in (b"", b"GET / HT", get("/")):
        begin = time.monotonic()
        got, end = ask(server.addr("ws"), data, half=False)
        assert end == FIN and 1 < time.monotonic() - begin < 5
        assert [a[0] for a in split(got)] == [200] * (data == get("/"))
    assert server.stop() == 0


def test_what_cannot_be_served(folder):
    for args, text in (
            (("--static", folder / "none"), "not a folder"),
            (("--static", folder / "big"), "not a folder"),
            (("--static", folder, "--backend", "http://127.0.0.1:80"),
             "give one of them")):
        r = run(WSP, "server", "--token", TOKEN, *args)
        assert r.returncode == 2 and text in r.stderr.decode(), r.stderr
    r = run(WSP, "server", "--static", folder)
    assert r.returncode == 2 and b"give --token-file" in r.stderr

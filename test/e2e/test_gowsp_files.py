# SPDX-License-Identifier: MIT
"""gowsp's own files, wspc.json and wsps.json, as its README has them."""
import json
import socket
import time

import pytest

from harness import (WSP, Target, closed_port, echo_handler, free_port,
                     http_connect, recv_exact, run, socks_connect)

TOKEN = "0123456789abcdef"


@pytest.fixture
def write(tmp_path):
    """write(name, value) -> the path of a new file."""
    def make(name, value):
        file = tmp_path / name
        file.write_text(json.dumps(value, indent=4))
        return file
    return make


def talks(connect, proxy, target):
    with connect(proxy, target) as s:
        s.sendall(b"hello")
        return recv_exact(s, 5) == b"hello"


def wsps(certs, port):
    cert, key = certs["good"]
    return {"log": {"level": "debug", "output": ""},
            "ssl": {"enable": True, "key": key, "cert": cert},
            "host": "mywsps.com", "auth": TOKEN, "path": "/proxy",
            "port": port}


def test_both_full_files(start, write, certs):
    port, socks, http = free_port(), free_port(), free_port()
    server = start("server", "--config",
                   write("wsps.json", wsps(certs, port)), "--allow",
                   "loopback").ready()
    client = start("client", "--tls-ca", certs["ca"], "--config",
                   write("wspc.json", {
                       "log": {"level": "info"},
                       "client": [{
                           "auth": TOKEN,
                           "server": f"wss://localhost:{port}/proxy",
                           "dynamic": [f"socks5://:{socks}",
                                       f"http://127.0.0.1:{http}"],
                           "remote": ["tcp://ssh:pw@192.168.1.100:22"],
                           "local": ["tcp://ssh:pw@127.0.0.1:2200"],
                       }]})).ready()
    assert [w[1] for w in client.seen if w[0] == "listening"] == \
        ["socks", "http"]
    with Target(echo_handler) as t:
        assert talks(socks_connect, ("127.0.0.1", socks), t.addr)
        assert talks(http_connect, ("127.0.0.1", http), t.addr)
    assert client.stop() == 0 and server.stop() == 0
    for key in ("remote", "local"):
        assert f'client 1: "{key}" 1: ' in client.log()
    assert f"port {socks} only on 127.0.0.1" in client.log()
    assert '"host": ' in server.log() and "ssh:pw" not in client.log()


def test_the_smallest_files(start, write):
    port, socks = free_port(), free_port()
    server = start("server", "--config", write("s", {"port": port})).ready()
    assert server.addr("ws") == ("127.0.0.1", port)
    client = start("client", "--config", write("c", {
        "server": f"ws://127.0.0.1:{port}",
        "dynamic": [f"socks5://127.0.0.1:{socks}"]})).ready()
    with Target(echo_handler) as t:
        assert talks(socks_connect, ("127.0.0.1", socks), t.addr)
    assert client.stop() == 0 and server.stop() == 0


def test_several_entries_all_run(start, write):
    """Each with its server, its token and its proxies; ready when all are."""
    ports, proxies = [free_port(), free_port()], [free_port(), free_port()]
    config = write("wspc.json", {"client": [
        {"server": f"ws://127.0.0.1:{ports[0]}/a", "auth": TOKEN + "a",
         "dynamic": [f"socks5://127.0.0.1:{proxies[0]}"]},
        {"server": "ws://127.0.0.1:1", "remote": ["tunnel://t:pw@"]},
        {"server": f"ws://127.0.0.1:{ports[1]}/b", "auth": TOKEN + "b",
         "dynamic": [f"socks5://127.0.0.1:{proxies[1]}"]}]})

    def serve(i):
        return start("server", "--listen", f"127.0.0.1:{ports[i]}", "--path",
                     "ab"[i], "--token", TOKEN + "ab"[i], "--allow",
                     "loopback").ready()

    servers = [serve(0)]
    client = start("client", "--config", config)
    assert client.expect("connected")[1].endswith("/a")
    with Target(echo_handler) as t:
        assert talks(socks_connect, ("127.0.0.1", proxies[0]), t.addr)
        time.sleep(0.2)
        assert not [w for w in list(client.lines.queue) if w[0] == "ready"]
        servers.append(serve(1))
        assert client.expect("connected")[1].endswith("/b")
        client.ready()
        # what one loses is not the other's
        kept = socks_connect(("127.0.0.1", proxies[0]), t.addr)
        lost = socks_connect(("127.0.0.1", proxies[1]), t.addr)
        servers[1].kill()
        with pytest.raises(ConnectionResetError):
            recv_exact(lost, 1)
        kept.sendall(b"still")
        assert recv_exact(kept, 5) == b"still"
        kept.close()
        servers[1] = serve(1)
        assert talks(socks_connect, ("127.0.0.1", proxies[1]), t.addr)
    assert client.stop() == 0
    assert [s.stop() for s in servers] == [0, 0]
    assert 'client 2: "remote" 1: ' in client.log()


def test_one_password_is_for_all_entries(start, write):
    ports = [free_port(), free_port()]
    config = write("wspc.json", {"client": [
        {"server": "ws://127.0.0.1:9/", "dynamic": [f"socks5://127.0.0.1:{p}"]}
        for p in ports]})
    client = start("client", "--config", config, "--proxy-auth", "me:secret")
    for _ in ports:
        client.expect("listening")
    for p in ports:
        for password, answer in ((b"secret", 0), (b"wrong!", 1)):
            s = socket.create_connection(("127.0.0.1", p), 20)
            s.sendall(b"\5\1\2\1\2me\6" + password)
            assert recv_exact(s, 4) == bytes([5, 2, 1, answer])
    assert client.stop() == 0


def test_a_wrong_token_of_one_entry_ends_all(start, write):
    server = start("server", "--listen", "127.0.0.1:0", "--token",
                   TOKEN).ready()
    url = "ws://127.0.0.1:%d" % server.addr("ws")[1]
    client = start("client", "--config", write("c", {"client": [
        {"server": url, "auth": TOKEN, "dynamic": ["socks5://127.0.0.1:0"]},
        {"server": url, "auth": TOKEN[:-1] + "x",
         "dynamic": ["socks5://127.0.0.1:0"]}]}))
    assert client.wait() == 6, client.log()
    assert server.stop() == 0


def test_wait_is_for_all(start, write):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    client = start("client", "--wait", "1", "--config", write("c", {"client": [
        {"server": url, "dynamic": ["socks5://127.0.0.1:0"]}
        for url in ("ws://127.0.0.1:%d" % server.addr("ws")[1],
                    f"ws://127.0.0.1:{closed_port()}")]}))
    assert client.wait() == 4, client.log()
    assert server.stop() == 0


def test_a_port_that_is_taken_by_another_entry(start, write):
    port = free_port()
    entry = {"server": "ws://127.0.0.1:1",
             "dynamic": [f"http://127.0.0.1:{port}"]}
    client = start("client", "--config", write("c", {"client": [entry] * 2}))
    assert client.wait() == 3, client.log()


def test_files_that_ask_for_nothing_that_is_there(write):
    r = run(WSP, "client", "--config", write("c.json", {"client": [
        {"server": "ws://127.0.0.1:1", "remote": ["tunnel://t:pw@"],
         "dynamic": ["socks5://t:pw@127.0.0.1:1080"]}]}))
    said = r.stderr.decode().splitlines()
    assert r.returncode == 2 and len(said) == 3
    assert 'c.json: client 1: "remote" 1: ' in said[0]
    assert 'c.json: client 1: "dynamic" 1: ' in said[1]
    assert "nothing to do" in said[2]


def test_bad_files_say_where(tmp_path):
    file = tmp_path / "wsps.json"
    file.write_text('{\n  "port": 8010\n  "path": "/"\n}')
    r = run(WSP, "server", "--config", file)
    assert r.returncode == 2 and b"wsps.json:3:" in r.stderr
    file.write_text('{"port": 8010}')
    r = run(WSP, "client", "--config", file)
    assert r.returncode == 2 and b"wsp server --config" in r.stderr

# SPDX-License-Identifier: MIT
"""Users and passwords of the client's proxies: --proxy-auth, --proxy-users."""
import shutil
import signal
import socket
import threading
import time

import pytest
from harness import (FIN, Target, count, echo_handler, recv_all,
                     recv_exact, reset, run, socks_reply, socks_request)

LOOPBACK = ("--allow", "loopback")
COST = 10  # of bcrypt, some 60 ms


def htpasswd(user, password, cost=4):
    """A line, as the real program makes it."""
    if not shutil.which("htpasswd"):
        pytest.skip("htpasswd is not installed (apache2-utils)")
    r = run("htpasswd", "-nbBC", cost, user, password)
    assert r.returncode == 0, r.stderr
    return r.stdout.decode()


def sha512(passwords):
    """Their hashes, as OpenSSL makes them."""
    r = run("openssl", "passwd", "-6", "-stdin",
            input="".join(p + "\n" for p in passwords).encode())
    assert r.returncode == 0, r.stderr
    return r.stdout.decode().split()


@pytest.fixture
def users(tmp_path, pair):
    """make(text, args...) -> a Pair whose client has these users."""
    def make(text, *args):
        path = tmp_path / "users"
        path.write_text(text)
        p = pair(server=LOOPBACK, client=("--proxy-users", path, *args))
        return p

    return make


def sign_in(user, password):
    return b"\1" + bytes([len(user)]) + user.encode() + \
        bytes([len(password)]) + password.encode()


def connect(proxy, user, password, timeout=30):
    """A connection that has offered user and password."""
    s = socket.create_connection(proxy, timeout)
    s.sendall(b"\5\1\2")
    assert recv_exact(s, 2) == b"\5\2"
    s.sendall(sign_in(user, password))
    return s


def open_stream(proxy, target, user, password):
    s = connect(proxy, user, password)
    assert recv_exact(s, 2) == b"\1\0"
    s.sendall(socks_request(target))
    assert socks_reply(s)[0] == 0
    return s


def page(s):
    s.recv(4096)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
              b"Connection: close\r\n\r\nok")
    s.close()


def curl(target, *args):
    """(exit code, status)"""
    r = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *args,
            "http://%s:%d/" % target)
    return r.returncode, int(r.stdout)


def check_socks(p, target, user, good):
    code = curl(target, "--socks5-basic", "--socks5",
                "%s@%s:%d" % (user, *p.socks))
    assert code == ((0, 200) if good else (97, 0)), user


def check_http(p, target, user, good):
    proxy = ("-x", "http://%s@%s:%d" % (user, *p.http))
    assert curl(target, *proxy) == (0, 200 if good else 407), user
    code = curl(target, "-p", *proxy)
    assert code == ((0, 200) if good else (56, 0)), user


def check_log(p, *secrets):
    for secret in secrets:
        assert secret not in p.client.log()


def test_curl_signs_in_at_the_socks_proxy(users):
    p = users("# two programs\n\n" + htpasswd("bob", "s3cret:x") +
              "eve:" + sha512(["pw of eve"])[0] + "\r\n")
    with Target(page) as t:
        for user, good in (("bob:s3cret%3Ax", True), ("bob:s3cret", False),
                           ("bob:s3cret%3Ax", True), ("bob:", False),
                           ("eve:pw%20of%20eve", True),
                           ("eve:s3cret%3Ax", False), ("joe:x", False)):
            check_socks(p, t.addr, user, good)
        assert curl(t.addr, "--socks5", "%s:%d" % p.socks) == (97, 0)
        assert curl(t.addr, "--socks4", "%s:%d" % p.socks) == (97, 0)
    assert "2 users in " in p.client.log()
    p.client.wait_log("user refused: wrong name or password")
    check_log(p, "s3cret", "pw of eve")


def test_curl_signs_in_at_the_http_proxy(users):
    p = users("".join("eve%d:%s\n" % (i, h) for i, h in enumerate(sha512(
        ["s3cret:x"] * 3))) + htpasswd("bob", "pw"))
    with Target(page) as t:
        for user, good in (("bob:pw", True), ("bob:pw2", False),
                           ("eve0:s3cret%3Ax", True), ("bob:pw", True),
                           ("eve1:s3cret", False), ("joe:pw", False)):
            check_http(p, t.addr, user, good)
        # CONNECT first, with nobody known yet
        proxy = "http://eve2:s3cret%%3Ax@%s:%d" % p.http
        assert curl(t.addr, "-p", "-x", proxy) == (0, 200)
        assert curl(t.addr, "-x", "http://%s:%d" % p.http) == (0, 407)
    check_log(p, "s3cret")


def test_the_mixed_proxy_asks_in_both_ways(users):
    p = users(htpasswd("bob", "pw") + htpasswd("eve", "pw"), "--mixed", "0")
    p.socks = p.http = p.client.addr("mixed")
    with Target(page) as t:
        for user, good in (("bob:pw", True), ("bob:no", False)):
            check_socks(p, t.addr, user, good)
        for user, good in (("eve:pw", True), ("eve:no", False)):
            check_http(p, t.addr, user, good)


def test_the_target_never_sees_the_password(users):
    p = users(htpasswd("bob", "pw"))
    heads = []

    def remember(s):
        heads.append(s.recv(4096))
        s.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        s.close()

    with Target(remember) as t:
        check_http(p, t.addr, "bob:pw", True)
    assert len(heads) == 2
    assert all(b"roxy" not in h and b"Ym9i" not in h for h in heads)


def test_a_body_behind_the_password_is_kept(users):
    p = users(htpasswd("bob", "pw", COST))
    body = bytes(range(256)) * 2048
    got = []

    def take(s):
        data = b""
        while b"\r\n\r\n" not in data or \
                len(data.split(b"\r\n\r\n", 1)[1]) < len(body):
            data += s.recv(1 << 16)
        got.append(data.split(b"\r\n\r\n", 1)[1])
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                  b"Connection: close\r\n\r\nok")
        s.close()

    with Target(take) as t, socket.create_connection(p.http, 30) as s:
        s.sendall(b"POST http://%s:%d/ HTTP/1.1\r\nHost: x\r\n"
                  b"Proxy-Authorization: Basic Ym9iOnB3\r\n"
                  b"Connection: close\r\n"
                  b"Content-Length: %d\r\n\r\n" % (
                      t.addr[0].encode(), t.addr[1], len(body)) + body)
        assert recv_all(s)[0].startswith(b"HTTP/1.1 200 ")
    assert got == [body]


def test_one_user_needs_no_file(pair):
    p = pair(server=LOOPBACK, client=("--proxy-auth", "bob:s3cret:x"))
    with Target(page) as t:
        for user, good in (("bob:s3cret%3Ax", True), ("bob:s3cret", False),
                           ("bob%3As3cret:x", False), ("eve:x", False)):
            check_socks(p, t.addr, user, good)
            if "%3As" not in user:  # Basic has no such user
                check_http(p, t.addr, user, good)
    check_log(p, "s3cret")


def test_with_users_a_proxy_may_listen_anywhere(start, tmp_path):
    (tmp_path / "users").write_text("a:" + sha512(["pw"])[0])
    c = start("client", "--socks", ":0", "--proxy-users", tmp_path / "users",
              "--server", "ws://127.0.0.1:9/")
    c.expect("listening")
    assert c.stop() == 0


@pytest.mark.parametrize("text, error", [
    ("a:$6$s$x\n", "users:1: not a whole SHA-crypt hash"),
    ("# x\n\na:$apr1$CNpgyKDY$JzvCeNDLQK3q1qDGnAKhZ0\n", "users:3: $apr1$"),
    ("a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n", "users:1: {SHA}"),
    ("a:rl.3StKT.4T8M\n", "users:1: DES"),
    ("a:s3cret\n", "users:1: not a hash"),
    ("", "users: there is no user in it"),
    (None, "users: No such file or directory"),
])
def test_a_file_that_is_wrong_ends_the_client(start, tmp_path, text, error):
    if text is not None:
        (tmp_path / "users").write_text(text)
    c = start("client", "--socks", "0", "--proxy-users", tmp_path / "users")
    assert c.wait() == 2
    assert error in c.log()
    assert "s3cret" not in c.log()


def test_what_follows_the_password_is_kept_at_any_split(users):
    """Every cut has a user of its own: nobody is known already."""
    with Target(echo_handler) as t:
        def bytes_of(i):
            return b"\5\2\0\2" + sign_in("user%02d" % i, "pw%02d" % i) + \
                socks_request(t.addr) + b"early data"

        n = len(bytes_of(0))
        names = range(n + 1)
        p = users("".join("user%02d:%s\n" % (i, h) for i, h in zip(
            names, sha512("pw%02d" % i for i in names))))
        for cut in names:
            data = bytes_of(cut)
            with socket.create_connection(p.socks, 20) as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.sendall(data[:cut])
                time.sleep(0.002)
                s.sendall(data[cut:])
                s.shutdown(socket.SHUT_WR)
                assert recv_exact(s, 4) == b"\5\2\1\0"
                assert socks_reply(s)[0] == 0
                assert recv_all(s) == (b"early data", FIN)


def test_much_early_data_behind_the_password(users):
    p = users(htpasswd("bob", "pw", COST))
    data = bytes(range(256)) * 4096
    with Target(echo_handler) as t, \
            socket.create_connection(p.socks, 30) as s:
        sender = threading.Thread(target=s.sendall, args=(
            b"\5\1\2" + sign_in("bob", "pw") + socks_request(t.addr) + data,))
        sender.start()
        assert recv_exact(s, 4) == b"\5\2\1\0"
        assert socks_reply(s)[0] == 0
        assert recv_exact(s, len(data)) == data
        sender.join()


def test_an_unfinished_request_behind_the_password_ends(users):
    p = users(htpasswd("bob", "pw"))
    with socket.create_connection(p.socks, 30) as s:
        s.sendall(b"\5\1\2" + sign_in("bob", "pw") + b"\5\1")
        s.shutdown(socket.SHUT_WR)
        assert recv_all(s)[0] == b"\5\2\1\0"


def test_logins_do_not_stall_the_loop(users):
    """By order, not by time: a stream goes back and forth many times before
    the last of fifty hashes has been computed."""
    p = users(htpasswd("bob", "pw", COST))
    with Target(echo_handler) as t:
        s = open_stream(p.socks, t.addr, "bob", "pw")
        logins = [connect(p.socks, "bob", "no%d" % i) for i in range(50)]
        answered = []

        def wait_for(login):
            answered.append(recv_all(login)[0])

        threads = [threading.Thread(target=wait_for, args=(x,))
                   for x in logins]
        for x in threads:
            x.start()
        for i in range(100):
            s.sendall(b"%4d" % i)
            assert recv_exact(s, 4) == b"%4d" % i
        assert len(answered) < 50
        # nor does the one who is known wait
        open_stream(p.socks, t.addr, "bob", "pw").close()
        assert len(answered) < 50
        for x in threads:
            x.join(60)
        assert answered == [b"\1\1"] * 50
        s.close()


def test_beyond_the_limit_logins_are_refused(users):
    p = users(htpasswd("bob", "pw", 12))
    logins = [connect(p.socks, "bob", "no%d" % i) for i in range(80)]
    p.client.wait_log("user refused: limit reached")
    for s in logins[64:]:
        s.settimeout(20)
    # who goes makes room
    for s in logins:
        reset(s)
    with Target(echo_handler) as t:
        for _ in range(100):
            s = connect(p.socks, "bob", "pw")
            if recv_exact(s, 2) == b"\1\0":
                break
            s.close()
            time.sleep(0.1)
        s.sendall(socks_request(t.addr) + b"x")
        assert socks_reply(s)[0] == 0
        assert recv_exact(s, 1) == b"x"
        s.close()


@pytest.mark.parametrize("leave", [reset, socket.socket.close,
                                   lambda s: s.shutdown(socket.SHUT_WR)])
def test_who_leaves_while_the_hash_is_computed(users, leave):
    p = users(htpasswd("bob", "pw", COST))
    left = []
    for i in range(count(40, 400)):
        s = socket.create_connection(p.socks, 20)
        s.sendall(b"\5\1\2" + sign_in("bob", "no%d" % (i // 3)) + b"x" * i)
        recv_exact(s, 2)
        time.sleep(0.001 * (i % 20))
        leave(s)
        left.append(s)
    with Target(page) as t:
        check_socks(p, t.addr, "bob:pw", True)


def test_hup_reads_the_file_again(users, tmp_path):
    p = users(htpasswd("bob", "pw"))
    path = tmp_path / "users"

    def hup(text, line):
        path.write_text(text)
        p.client.process.send_signal(signal.SIGHUP)
        p.client.wait_log(line)

    with Target(page) as t, Target(echo_handler) as echo:
        s = open_stream(p.socks, echo.addr, "bob", "pw")
        check_socks(p, t.addr, "bob:pw", True)
        hup("bob:pw\n", f"HUP: --proxy-users {path}:1: ")
        assert "what it said before stays in force" in p.client.log()
        check_socks(p, t.addr, "bob:pw", True)
        hup(htpasswd("eve", "pw2") + htpasswd("joe", "x"),
            f"HUP: read again: 2 users in {path}")
        check_socks(p, t.addr, "bob:pw", False)
        check_http(p, t.addr, "bob:pw", False)
        check_socks(p, t.addr, "eve:pw2", True)
        check_http(p, t.addr, "eve:pw2", True)
        s.sendall(b"still")
        assert recv_exact(s, 5) == b"still"
        s.close()


def test_the_end_does_not_wait_for_all_hashes(users):
    p = users(htpasswd("bob", "pw", 12))
    logins = [connect(p.socks, "bob", "no%d" % i) for i in range(60)]
    begin = time.monotonic()
    assert p.client.stop() == 0
    # sixty would take some 15 s of two cores, four are under way
    assert time.monotonic() - begin < 7
    for s in logins:
        s.close()


def test_a_known_pair_is_forgotten_after_five_minutes(pair, tmp_path):
    (tmp_path / "users").write_text(htpasswd("bob", "pw"))
    p = pair(server=LOOPBACK, client=("--proxy-users", tmp_path / "users"),
             env={"WSP_TEST_SPEED": "300"})  # one second
    with Target(page) as t:
        for pause in (0, 0, 1.5, 0):
            time.sleep(pause)
            check_socks(p, t.addr, "bob:pw", True)
            check_socks(p, t.addr, "bob:no", False)

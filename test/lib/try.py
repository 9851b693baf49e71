#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program behind `make run`: a server and a client on this machine, both
proxies proven with a request to a small local origin, then in the foreground
until Ctrl-C. No process of ours outlives it."""
import argparse
import ctypes
import http.server
import queue
import signal
import socket
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
BODY = b"wsp works\n"


class Failure(Exception):
    pass


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):
        pass


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One wsp. It gets --announce beside what a user would write."""

    def __init__(self, name, argv):
        self.name, self.addr = name, {}
        self.lines = queue.Queue()
        print("$ wsp " + " ".join(argv[1:]), flush=True)
        self.process = subprocess.Popen(
            [*argv, "--announce"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=die_with_parent)
        for reader in (self.read_log, self.read_out):
            threading.Thread(target=reader, daemon=True).start()

    def read_log(self):
        for line in self.process.stderr:
            sys.stderr.write(f"{self.name:7}{line}")

    def read_out(self):
        for line in self.process.stdout:
            self.lines.put(line.split())
        self.lines.put(["end"])

    def wait_ready(self, seconds=15):
        words = [""]
        while words[0] not in ("ready", "end"):
            try:
                words = self.lines.get(timeout=seconds)
            except queue.Empty:
                break
            if words[0] == "listening":
                self.addr[words[1]] = words[2]
        if words[0] != "ready":
            self.stop()
            raise Failure(f"wsp {self.name} did not get ready")

    def stop(self):
        """True: it ended cleanly."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(15) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False


def split(addr):
    host, port = addr.rsplit(":", 1)
    return host.strip("[]"), int(port)


def exact(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise Failure("the proxy ended the connection")
        data += piece
    return data


def rest(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def ask(name, send):
    if not send().endswith(b"\r\n\r\n" + BODY):
        raise Failure(f"the request through {name} got a wrong answer")
    print(f"  a request through the {name} proxy: works", flush=True)


def through_socks(proxy, origin):
    with socket.create_connection(split(proxy), 10) as s:
        s.sendall(b"\5\1\0")
        exact(s, 2)
        s.sendall(b"\5\1\0\1" + socket.inet_aton(origin[0]) +
                  origin[1].to_bytes(2, "big"))
        reply = exact(s, 10)
        if reply[1]:
            raise Failure(f"SOCKS5 reply {reply[1]}")
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return rest(s)


def through_http(proxy, origin):
    with socket.create_connection(split(proxy), 10) as s:
        host = f"{origin[0]}:{origin[1]}"
        s.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n"
                  "Connection: close\r\n\r\n".encode())
        return rest(s)


def check_port(option, make_variable, addr):
    """A port that is taken, before anything has been started."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", int(addr.rsplit(":", 1)[-1])))
        except OSError as e:
            raise Failure(
                f"{option}: port {addr} cannot be used: {e.strerror}.\n"
                f"Choose another one: make run {make_variable}=PORT") from e


def hints(server, client):
    socks, http_ = client.addr["socks"], client.addr["http"]
    print(f"""
Try it, in another terminal:

  curl -x socks5h://{socks} http://example.com/
  curl -x http://{http_} https://example.com/
  git -c http.proxy=socks5h://{socks} clone https://github.com/libuv/libuv
  ssh -o ProxyCommand='nc -X 5 -x {socks} %h %p' HOST

The server is at ws://{server.addr["ws"]}/. Ctrl-C ends it all.

ready""", flush=True)


def signals():
    """An event that a signal sets, from now on."""
    stopped = threading.Event()
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda *_: stopped.set())
    return stopped


def stay(children, stopped):
    """Until a signal, or until one of them ends."""
    while not stopped.wait(0.2):
        for c in children:
            if c.process.poll() is not None:
                raise Failure(f"wsp {c.name} has ended, exit code "
                              f"{c.process.returncode}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wsp", required=True)
    parser.add_argument("--listen", default="")
    parser.add_argument("--socks", default="1080")
    parser.add_argument("--http", default="8080")
    a = parser.parse_args()
    children = []
    try:
        check_port("--listen", "LISTEN", a.listen or "8010")
        check_port("--socks", "SOCKS", a.socks)
        check_port("--http", "HTTP", a.http)
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        argv = [a.wsp, "server", "--listen"] + ([a.listen] if a.listen else [])
        server = Child("server", argv)
        children.append(server)
        server.wait_ready()
        url = ["--server", "ws://" + server.addr["ws"]] if a.listen else []
        client = Child("client", [a.wsp, "client", "--socks", a.socks,
                                  "--http", a.http, *url])
        children.append(client)
        client.wait_ready()
        at = origin.server_address
        ask("SOCKS5", lambda: through_socks(client.addr["socks"], at))
        ask("HTTP", lambda: through_http(client.addr["http"], at))
        stopped = signals()
        hints(server, client)
        stay(children, stopped)
    except Failure as e:
        print(f"make run: {e}", file=sys.stderr)
        for c in reversed(children):
            c.stop()
        sys.exit(1)
    except KeyboardInterrupt:
        pass
    clean = [c.stop() for c in reversed(children)]
    print("stopped", flush=True)
    sys.exit(not all(clean))


main()

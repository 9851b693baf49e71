# SPDX-License-Identifier: MIT
"""What is measured: how each system is started on loopback, in processes of
its own, with one way through it, and what its processes cost."""
import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "bench-0123456789abcdef"
# Ports below those which the kernel gives to outgoing connections.
PORTS = itertools.cycle(random.sample(range(20000, 32000), 12000))


SERIAL = itertools.count()


def read(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return "unknown"


CONGESTION = read("/proc/sys/net/ipv4/tcp_congestion_control")


class Missing(Exception):
    """A program that a system needs is not there."""


class Failed(Exception):
    """A system or the load program did not do what it was asked for."""


def free_port():
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


def command(argv, **kw):
    """What argv prints, or None if it fails."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        r = subprocess.run(argv, capture_output=True, text=True, timeout=60,
                           **kw)
        return r.stdout if r.returncode == 0 else None
    return None


def stat_of(pid):
    """(parent, CPU seconds with those of children that have ended)"""
    with open(f"/proc/{pid}/stat") as f:
        w = f.read().rsplit(")", 1)[1].split()
    return int(w[1]), sum(map(int, w[11:15])) / TICK


def status_of(pid, word):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(word + ":"):
                return int(line.split()[1])
    return 0


class Env:
    """What all systems share: programs, a certificate, the target."""

    def __init__(self, args, directory):
        self.args, self.dir = args, directory
        self.load = os.path.join(args.tools, "load")
        self.relay = os.path.join(args.tools, "relay")
        self.cert = os.path.join(directory, "cert.pem")
        self.key = os.path.join(directory, "key.pem")
        openssl = command(["openssl", "req", "-x509", "-newkey", "ec",
                           "-pkeyopt", "ec_paramgen_curve:prime256v1",
                           "-nodes", "-keyout", self.key, "-out", self.cert,
                           "-days", "30", "-subj", "/CN=localhost", "-addext",
                           "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        if openssl is None:
            raise Failed("openssl cannot make a certificate")
        self.target_port = free_port()
        self.target = subprocess.Popen(
            [self.load, "target", "--port", str(self.target_port)],
            stdout=subprocess.PIPE)
        self.target.stdout.readline()

    def program(self, *names):
        """The path of the first of names in $RIVALS or on the PATH."""
        places = [os.environ.get("RIVALS", ""), os.environ["PATH"],
                  "/usr/sbin"]
        path = os.pathsep.join(p for p in places if p)
        for name in names:
            if found := shutil.which(name, path=path):
                return found
        raise Missing(names[0])

    def close(self):
        self.target.kill()
        self.target.wait()


class Run:
    """One started system. Its way is the words for the load program."""

    def __init__(self, env, long_ms=0):
        self.env, self.long_ms = env, long_ms
        self.procs, self.delays = {}, []
        self.way, self.http = [], None
        self.environ = dict(os.environ)
        self.at = os.path.join(env.dir, str(next(SERIAL)))

    def spawn(self, role, argv, **kw):
        kw.setdefault("env", self.environ)
        log = open(os.path.join(self.env.dir, f"{role}.log"), "ab")
        with log:
            self.procs[role] = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL,
                stdout=kw.pop("stdout", log), stderr=log, **kw)
        return self.procs[role]

    def file(self, name, text):
        path = f"{self.at}-{name}"
        with open(path, "w") as f:
            f.write(text)
        return path

    def via(self, port):
        """The port by which clients reach port: a long way, if so asked."""
        if not self.long_ms:
            return port
        way = free_port()
        p = subprocess.Popen([self.env.relay, str(way), str(port),
                              str(self.long_ms)], stdout=subprocess.PIPE)
        p.stdout.readline()
        self.delays.append(p)
        return way

    def listens(self, port, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            for role, p in self.procs.items():
                if p.poll() is not None:
                    raise Failed(f"{role} ended with {p.returncode}")
            time.sleep(0.002)
        raise Failed(f"nothing listens on {port}")

    def socks(self, port):
        self.way = ["--socks", port, "--target", self.env.target_port]

    def direct(self, port):
        self.way = ["--direct", port]

    def works(self, seconds=20):
        """Waits until a byte comes back through the way."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r = self.load("first", "--timeout", 2)
            if r["echo_ms"] >= 0:
                return
            time.sleep(0.01)
        raise Failed("no byte comes back")

    def load(self, *words, way=None, seconds=120):
        """The last line that the load program says, as a dict."""
        argv = [self.env.load, words[0], *(way or self.way), *words[1:]]
        try:
            r = subprocess.run([str(a) for a in argv], capture_output=True,
                               text=True, timeout=seconds,
                               stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failed(f"no end within {seconds} s") from None
        if r.returncode or not r.stdout:
            raise Failed(f"load: {r.stderr.strip() or r.returncode}")
        result = {}
        for line in r.stdout.splitlines():
            result.update(json.loads(line))
        return result

    def pids(self, role=None):
        """The processes of the system, or of one role, with children."""
        roots = [p.pid for r, p in self.procs.items()
                 if role is None or r.startswith(role)]
        children = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    children.setdefault(stat_of(name)[0], []).append(int(name))
        found = []
        while roots:
            found.append(roots.pop())
            roots += children.get(found[-1], [])
        return found

    def cpu(self, role=None):
        total = 0
        for pid in self.pids(role):
            with contextlib.suppress(OSError):
                total += stat_of(pid)[1]
        return total

    def rss(self, role=None):
        """kB"""
        total = 0
        for pid in self.pids(role):
            with contextlib.suppress(OSError):
                total += status_of(pid, "VmRSS")
        return total

    def switches(self):
        """Voluntary context switches of all threads that still live."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    total += status_of(f"{pid}/task/{task}",
                                       "voluntary_ctxt_switches")
        return total

    def settle(self, seconds=3):
        """Waits until the system does nothing any more. False if it goes on."""
        end, before = time.monotonic() + seconds, self.cpu()
        while time.monotonic() < end:
            time.sleep(0.05)
            after = self.cpu()
            if after - before < 1.5 / TICK:
                return True
            before = after
        return False

    def stop(self):
        pids = self.pids()
        for p in [*self.procs.values(), *self.delays]:
            p.terminate()
        for p in [*self.procs.values(), *self.delays]:
            try:
                p.wait(2)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for pid in pids:  # children that did not end with their parent
            with contextlib.suppress(OSError):
                os.kill(pid, 9)


def bare(run):
    far, near = free_port(), free_port()
    run.spawn("server", [run.env.relay, far, run.env.target_port])
    run.listens(far)
    run.spawn("client", [run.env.relay, near, run.via(far)])
    run.listens(near)
    run.direct(near)


def wsp(run, binary, tls=False, server=(), client=()):
    env = run.env
    far, near, http = free_port(), free_port(), free_port()
    run.spawn("server", [
        binary, "server", "-q", "--listen", f"127.0.0.1:{far}", *server,
        *(["--tls-cert", env.cert, "--tls-key", env.key] if tls else [])])
    run.listens(far)
    run.spawn("client", [
        binary, "client", "-q", "--socks", near, "--http", http, "--server",
        "%s://127.0.0.1:%d/" % ("wss" if tls else "ws", run.via(far)),
        *(["--tls-ca", env.cert] if tls else []), *client])
    run.listens(near)
    run.socks(near)
    run.http = ["--http", http, "--target", env.target_port]


def wsp_own(run, binary, *words):
    """The system's own congestion control on the tunnel."""
    run.environ["WSP_TEST_CONGESTION"] = CONGESTION
    wsp(run, binary, False, *words)


def haproxy(run):
    """Two in a row in TCP mode, with TLS between them."""
    env, program = run.env, run.env.program("haproxy")
    far, near = free_port(), free_port()
    common = ("global\n maxconn 9000\ndefaults\n mode tcp\n"
              " timeout connect 10s\n timeout client 1h\n timeout server 1h\n")
    suite = "ciphersuites TLS_AES_128_GCM_SHA256"
    with open(env.cert) as c, open(env.key) as k:
        both = run.file("both.pem", c.read() + k.read())
    config = run.file("far.cfg", common + (
        f"listen far\n bind 127.0.0.1:{far} ssl crt {both} {suite}\n"
        f" server t 127.0.0.1:{env.target_port}\n"))
    run.spawn("server", [program, "-db", "-f", config])
    run.listens(far)
    config = run.file("near.cfg", common + (
        f"listen near\n bind 127.0.0.1:{near}\n"
        f" server f 127.0.0.1:{run.via(far)} ssl verify required"
        f" ca-file {env.cert} {suite}\n"))
    run.spawn("client", [program, "-db", "-f", config])
    run.listens(near)
    run.direct(near)


def wstunnel(run, tls=False):
    env, program = run.env, run.env.program("wstunnel")
    far, near = free_port(), free_port()
    kind = "wss" if tls else "ws"
    quiet = ["--log-lvl", "ERROR"]
    run.spawn("server", [
        program, *quiet, "server", f"{kind}://127.0.0.1:{far}",
        *(["--tls-certificate", env.cert, "--tls-private-key", env.key]
          if tls else [])])
    run.listens(far)
    run.spawn("client", [
        program, *quiet, "client", "-L", f"socks5://127.0.0.1:{near}",
        f"{kind}://127.0.0.1:{run.via(far)}"])
    run.listens(near)
    run.socks(near)


def chisel(run):
    program = run.env.program("chisel")
    far, near = free_port(), free_port()
    run.spawn("server", [program, "server", "--host", "127.0.0.1", "--port",
                         far, "--socks5"])
    run.listens(far)
    run.spawn("client", [program, "client", f"http://127.0.0.1:{run.via(far)}",
                         f"127.0.0.1:{near}:socks"])
    run.listens(near)
    run.socks(near)


def gost(run):
    program = run.env.program("gost")
    far, near, http = free_port(), free_port(), free_port()
    run.spawn("server", [program, "-L", f"mws://127.0.0.1:{far}"])
    run.listens(far)
    run.spawn("client", [program, "-L", f"socks5://127.0.0.1:{near}", "-L",
                         f"http://127.0.0.1:{http}", "-F",
                         f"mws://127.0.0.1:{run.via(far)}"])
    run.listens(near)
    run.socks(near)
    run.http = ["--http", http, "--target", run.env.target_port]


def xray(run, mux=False):
    program = run.env.program("xray")
    far, near = free_port(), free_port()
    user = "b831381d-6324-4d53-ad4f-8cda48b30811"
    ws = {"network": "ws", "wsSettings": {"path": "/t"}}
    log = {"loglevel": "error"}
    run.spawn("server", [program, "run", "-c", run.file("far.json", json.dumps({
        "log": log, "inbounds": [{
            "listen": "127.0.0.1", "port": far, "protocol": "vless",
            "settings": {"clients": [{"id": user}], "decryption": "none"},
            "streamSettings": ws}],
        "outbounds": [{"protocol": "freedom", "settings": {"finalRules": [
            {"action": "allow"}]}}]}))])
    run.listens(far)
    run.spawn("client", [program, "run", "-c", run.file(
        "near.json", json.dumps({
            "log": log, "inbounds": [{
                "listen": "127.0.0.1", "port": near, "protocol": "socks",
                "settings": {"auth": "noauth", "udp": False}}],
            "outbounds": [{
                "protocol": "vless", "settings": {"vnext": [{
                    "address": "127.0.0.1", "port": run.via(far),
                    "users": [{"id": user, "encryption": "none"}]}]},
                "mux": {"enabled": mux, "concurrency": 8},
                "streamSettings": ws}]}))])
    run.listens(near)
    run.socks(near)


def ssh(run):
    """An sshd of our own, for this run and this user only."""
    env = run.env
    sshd, client = env.program("sshd"), env.program("ssh")
    keygen = env.program("ssh-keygen")
    far, near = free_port(), free_port()
    for name in ("host", "user"):
        path = f"{run.at}-{name}"
        if command([keygen, "-q", "-t", "ed25519", "-N", "", "-f",
                    path]) is None:
            raise Failed("ssh-keygen")
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    config = run.file("sshd", f"""ListenAddress 127.0.0.1
Port {far}
HostKey {run.at}-host
AuthorizedKeysFile {run.at}-user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
MaxSessions 10
Ciphers aes128-gcm@openssh.com
LogLevel ERROR
""")
    run.spawn("server", [sshd, "-D", "-e", "-f", config])
    run.listens(far)
    run.spawn("client", [
        client, "-F", "none", "-N", "-D", f"127.0.0.1:{near}", "-p",
        run.via(far), "-i", f"{run.at}-user", "-o", "IdentitiesOnly=yes", "-o",
        "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o",
        "Ciphers=aes128-gcm@openssh.com", "127.0.0.1"])
    run.listens(near)
    run.socks(near)


def shadowsocks(run):
    env = run.env
    local, server = env.program("ss-local"), env.program("ss-server")
    plugin = env.program("ss-v2ray-plugin", "v2ray-plugin")
    far, near = free_port(), free_port()
    same = ["-k", TOKEN, "-m", "aes-128-gcm", "--plugin", plugin]
    run.spawn("server", [server, "-s", "127.0.0.1", "-p", far, *same,
                         "--plugin-opts", "server"])
    run.listens(far)
    run.spawn("client", [local, "-s", "127.0.0.1", "-p", run.via(far), "-b",
                         "127.0.0.1", "-l", near, *same])
    run.listens(near)
    run.socks(near)


def gowsp(run):
    client, server = run.env.program("wspc"), run.env.program("wsps")
    far, near, http = free_port(), free_port(), free_port()
    log = {"level": "error"}
    run.spawn("server", [server, "-c", run.file("wsps.json", json.dumps({
        "log": log, "auth": TOKEN, "path": "/t", "port": far}))])
    run.listens(far)
    run.spawn("client", [client, "-c", run.file("wspc.json", json.dumps({
        "log": log, "client": [{
            "auth": TOKEN, "server": f"ws://127.0.0.1:{run.via(far)}/t",
            "dynamic": [f"socks5://127.0.0.1:{near}",
                        f"http://127.0.0.1:{http}"]}]}))])
    run.listens(near)
    run.socks(near)
    run.http = ["--http", http, "--target", run.env.target_port]


def systems(args):
    """name -> (kind, how to start it); kinds: bare, ws, wss, own, rival, tls.

    own: wsp over ws, with the system's own congestion control."""
    found = {"bare": ("bare", bare)}
    for name, path in args.wsp:
        for tls in (False, True):
            kind = "wss" if tls else "ws"
            found[f"{name} {kind}"] = (
                kind, lambda run, path=path, tls=tls: wsp(
                    run, path, tls, args.server_args, args.client_args))
        found[f"{name} {CONGESTION}"] = (
            "own", lambda run, path=path: wsp_own(
                run, path, args.server_args, args.client_args))
    found.update({
        "wstunnel": ("rival", wstunnel),
        "chisel": ("rival", chisel),
        "gost": ("rival", gost),
        "xray ws": ("rival", xray),
        "xray mux": ("rival", lambda run: xray(run, True)),
        "ss+v2ray": ("rival", shadowsocks),
        "gowsp": ("rival", gowsp),
        "ssh -D": ("tls", ssh),
        "wstunnel wss": ("tls", lambda run: wstunnel(run, True)),
        "haproxy tls": ("tls", haproxy),
    })
    return found

# SPDX-License-Identifier: MIT
"""Real clients through the proxies: everything that they get and send is
compared. (ssh and git are in test_git_ssh.py.) What is not installed is
skipped."""
import hashlib
import json
import os
import shutil
import ssl
import subprocess

import pytest

from harness import Wsp, run
from origin import EVENTS, OBJECTS, Origin, sized

SIZES = (0, 1, 70000, 8 << 20)
UPLOAD = sized(5 << 20)


class Proxies(dict):
    """kind -> (host, port)"""
    client = None

    def were_used_for(self, port):
        self.client.wait_log(f":{port}: ")  # how a relay ended


@pytest.fixture(scope="module")
def proxies():
    """One server and one client for all."""
    server = Wsp("server", "--listen", "127.0.0.1:0").ready()
    client = Wsp("client", "--socks", "0", "--http", "0", "--mixed", "0",
                 "--log-level", "debug", "--server",
                 "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    all_ = Proxies((kind, client.addr(kind)) for kind in ("socks", "http",
                                                          "mixed"))
    all_.client = client
    yield all_
    assert client.stop() == 0, client.log()
    assert server.stop() == 0, server.log()
    assert "left behind" not in client.log() + server.log()


@pytest.fixture
def origin(certs, scheme):
    """Of its own for each test: its port is seen in the client's log."""
    o = Origin(certs["good"] if scheme == "https" else None)
    yield o
    o.shutdown()
    o.server_close()


class Job:
    """One way through: what a client needs to know."""

    def __init__(self, way, proxy, url, ca, tmp):
        self.way, self.url, self.ca, self.tmp = way, url, ca, tmp
        self.host, self.port = proxy
        self.proxy = "%s://%s:%d" % (way, *proxy)
        self.upload = tmp / "upload"
        self.upload.write_bytes(UPLOAD)

    def call(self, *argv, **env):
        r = run(*argv, timeout=120, env={**os.environ, **env})
        assert r.returncode == 0, (r.stdout[:300], r.stderr[:2000])
        return r.stdout


# Each client: get(job, path) -> bytes; post(job) -> the hash, or None.

class Curl:
    needs = ("curl",)

    def curl(self, job, *args):
        return job.call("curl", "-sSv", "-4", "--cacert", job.ca, "-x",
                        job.proxy, *args)

    def get(self, job, path):
        return self.curl(job, job.url + path)

    def post(self, job):
        return self.curl(job, "--data-binary", f"@{job.upload}",
                         job.url + "echo")


class CurlNames(Curl):
    """The target is a name: sent as it is by 4a and 5h, resolved by others."""

    def curl(self, job, *args):
        return super().curl(job, *(str(a).replace("127.0.0.1", "localhost")
                                   for a in args))


class CurlChunked(Curl):
    """An upload of unknown length."""

    def post(self, job):
        return self.curl(job, "-X", "POST", "-H", "Expect:", "-T", job.upload,
                         "-H", "Transfer-Encoding: chunked", job.url + "echo")


class Wget:
    needs = ("wget",)

    def wget(self, job, *args):
        return job.call("wget", "-q", "-O", "-", "--tries=1",
                        f"--ca-certificate={job.ca}", *args,
                        http_proxy=job.proxy, https_proxy=job.proxy,
                        no_proxy="")

    def get(self, job, path):
        return self.wget(job, job.url + path)

    def post(self, job):
        return self.wget(job, f"--post-file={job.upload}", job.url + "echo")


class Aria2:
    """Eight connections, each with a range of the file."""
    needs = ("aria2c",)
    method = "get"

    def get(self, job, path):
        job.call("aria2c", "-q", "-x", "8", "-s", "8", "-k", "1M",
                 "--no-conf", "--use-head=true", f"--all-proxy={job.proxy}",
                 f"--proxy-method={self.method}", "--no-proxy=",
                 f"--ca-certificate={job.ca}", "--allow-overwrite=true",
                 "-d", job.tmp, "-o", "out", job.url + path)
        return (job.tmp / "out").read_bytes()

    def post(self, job):
        return None


class Aria2Tunnel(Aria2):
    """CONNECT for http too."""
    method = "tunnel"


class Proxychains(Curl):
    """curl knows nothing of a proxy: its connect() is replaced."""
    needs = ("proxychains4", "curl")

    def curl(self, job, *args):
        conf = job.tmp / "proxychains.conf"
        conf.write_text("strict_chain\nproxy_dns\ntcp_read_time_out 15000\n"
                        "tcp_connect_time_out 8000\n[ProxyList]\n"
                        f"{job.way} {job.host} {job.port}\n")
        return job.call("proxychains4", "-q", "-f", conf, "curl", "-sS",
                        "--noproxy", "*", "--cacert", job.ca, *args)


class Apt:
    """The method that fetches Debian's packages."""
    helper = "/usr/lib/apt/apt-helper"
    needs = (helper,)

    def get(self, job, path):
        out = job.tmp / "out"
        job.call(self.helper, "-o", "APT::Sandbox::User=root", "-o",
                 f"Acquire::http::Proxy={job.proxy}", "-o",
                 f"Acquire::https::Proxy={job.proxy}", "-o",
                 f"Acquire::https::CAInfo={job.ca}", "-o",
                 "Acquire::http::Proxy-Auto-Detect=", "download-file",
                 job.url + path, out)
        data = out.read_bytes()
        out.unlink()
        return data

    def post(self, job):
        return None


class Requests:
    """A session, so that connections are used again where they can be."""
    needs = ()

    def session(self, job):
        requests = pytest.importorskip("requests")
        if job.way.startswith("socks"):
            pytest.importorskip("socks")
        s = requests.Session()
        s.trust_env = False
        s.proxies = {"http": job.proxy, "https": job.proxy}
        s.verify = job.ca
        return s

    def get(self, job, path):
        with self.session(job) as s:
            for _ in range(3):
                assert s.head(job.url + path, timeout=30).status_code == 200
            return s.get(job.url + path, timeout=30).content

    def post(self, job):
        with self.session(job) as s:
            with open(job.upload, "rb") as f:
                first = s.post(job.url + "echo", data=f, timeout=60).content
            assert s.put(job.url + "echo", data=iter([UPLOAD]),
                         timeout=60).content == first  # chunked
            return first


class PySocks:
    """A socket, and HTTP/1.0 by hand."""
    needs = ()
    kinds = {"socks5": 2, "socks4": 1, "http": 3}

    def ask(self, job, head, body=b""):
        socks = pytest.importorskip("socks")
        s = socks.socksocket()
        s.set_proxy(self.kinds[job.way], job.host, job.port)
        s.settimeout(60)
        port = int(job.url.rstrip("/").rsplit(":", 1)[1])
        s.connect(("127.0.0.1", port))
        if job.url.startswith("https"):
            s = ssl.create_default_context(cafile=job.ca).wrap_socket(
                s, server_hostname="127.0.0.1")
        with s:
            s.sendall(head.encode() + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: s.recv(1 << 16), b""))
        return answer.split(b"\r\n\r\n", 1)[1]

    def get(self, job, path):
        return self.ask(job, f"GET /{path} HTTP/1.0")

    def post(self, job):
        return self.ask(job, "POST /echo HTTP/1.0\r\nContent-Length: "
                        f"{len(UPLOAD)}", UPLOAD)


SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
TABLE = [  # client, its word for the proxy, our listener
    *((Curl, way, "socks") for way in SOCKS),
    (Curl, "http", "http"),
    *((CurlNames, way, "mixed") for way in (*SOCKS, "http")),
    (CurlChunked, "http", "http"),
    (CurlChunked, "socks5h", "socks"),
    (Wget, "http", "http"),
    (Aria2, "http", "http"),
    (Aria2Tunnel, "http", "mixed"),
    (Proxychains, "socks4", "socks"),
    (Proxychains, "socks5", "socks"),
    (Proxychains, "http", "http"),
    (Apt, "http", "http"),
    (Apt, "socks5h", "socks"),
    (Requests, "http", "http"),
    (Requests, "socks5", "socks"),
    (Requests, "socks5h", "mixed"),
    (PySocks, "socks4", "socks"),
    (PySocks, "socks5", "mixed"),
    (PySocks, "http", "http"),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("client, way, listener", TABLE, ids=[
    f"{c.__name__}-{way}-{listener}" for c, way, listener in TABLE])
def test_client(client, way, listener, proxies, origin, certs, tmp_path):
    for program in client.needs:
        if not shutil.which(program):
            pytest.skip(f"no {program}")
    job = Job(way, proxies[listener], origin.url, certs["ca"], tmp_path)
    for n in SIZES:
        assert client().get(job, str(n)) == sized(n), n
        assert not origin.bad
    assert len(origin.ranges) > 1 or not issubclass(client, Aria2)
    answer = client().post(job)
    assert answer in (None, hashlib.sha256(UPLOAD).hexdigest().encode())
    proxies.were_used_for(origin.server_port)


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or \
    shutil.which("chromium-browser")


@pytest.mark.skipif(not CHROMIUM, reason="no chromium")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way, listener", [
    ("socks5", "socks"), ("http", "http"), ("http", "mixed")])
def test_chromium(way, listener, proxies, origin, tmp_path):
    """A page of many objects, a WebSocket, events that come one by one."""
    log = open(tmp_path / "log", "w")
    browser = subprocess.Popen(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--ignore-certificate-errors",
         f"--user-data-dir={tmp_path / 'profile'}",
         "--proxy-server=%s://%s:%d" % (way, *proxies[listener]),
         "--proxy-bypass-list=<-loopback>", "--remote-debugging-port=0",
         origin.url], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, env={**os.environ, "HOME": str(tmp_path)})
    try:
        result = json.loads(origin.results.get(timeout=90))
    finally:
        browser.terminate()
        browser.wait(20)
        log.close()
    proxies.were_used_for(origin.server_port)
    assert "error" not in result, result
    assert result["objects"] == OBJECTS
    assert result["socket"] is True
    assert result["events"] > 50 * (EVENTS - 1), "held back somewhere"
    assert result["bytes"] == 1000000
    assert result["upload"] == hashlib.sha256(
        bytes(i * 7 & 255 for i in range(300000))).hexdigest()

# SPDX-License-Identifier: MIT
"""The rows of the table: how each is measured, and what it must reach."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

from systems import TICK, Failed, Run, command, status_of

MB = 1000 * 1000
GB = 1000 * MB
LONG_MS = 50  # each way


def bad(r):
    """What a result says of streams that were not moved as they should be."""
    return {k: r[k] for k in ("no_end", "truncated", "corrupt", "failed",
                              "unfinished")
            if r.get(k)}


class Bulk:
    """A number of bytes over streams; so many that it takes args.seconds."""

    def __init__(self, streams, up):
        self.words = ["--streams", streams, *(["--up"] if up else [])]
        self.metrics = {"mbps": "MB/s", "cpu_gb": "CPU-s/GB"}
        self.own = True
        self.streams, self.sizes = streams, {}

    def size(self, run, name, args):
        if name not in self.sizes:
            r = run.load("bulk", *self.words, "--bytes", 64 * MB, "--timeout",
                         args.timeout, "--limit", 5)
            n = r["mbps"] * MB * args.seconds
            self.sizes[name] = int(min(max(n, 16 * MB), args.mb * MB))
            run.settle()
        return self.sizes[name]

    def measure(self, run, name, args):
        n = self.size(run, name, args)
        before = run.cpu()
        r = run.load("bulk", *self.words, "--bytes", n, "--timeout",
                     args.timeout)
        cpu = run.cpu() - before
        return {"mbps": r["mbps"], "cpu_gb": cpu * GB / max(r["bytes"], 1),
                "load_cpu_gb": r["cpu"] * GB / max(r["bytes"], 1), **bad(r)}


class Ping:
    """late: of a stream that comes when the others flow."""
    metrics = {"p50": "us", "p99": "us"}

    def __init__(self, beside=0, up=False, late=False):
        self.words = ["--beside", beside, *(["--up"] if up else []),
                      *(["--late"] if late else [])]
        if beside:
            self.metrics = {**self.metrics, "mbps": "MB/s beside"}

    def measure(self, run, name, args):
        r = run.load("ping", *self.words, "--seconds", 2 * args.seconds,
                     "--timeout", args.timeout)
        if "p50" not in r:
            raise Failed("no ping came back")
        return r


class Opens:
    metrics = {"rate": "opens/s", "cpu_ms": "CPU-ms each"}

    def measure(self, run, name, args):
        before = run.cpu()
        r = run.load("opens", "--streams", 8, "--seconds", args.seconds,
                     "--timeout", args.timeout)
        cpu = run.cpu() - before
        return {"rate": r["rate"], "cpu_ms": cpu * 1e3 / max(r["opens"], 1),
                **bad(r)}


class Stall:
    """What others have before and after one does not read any more."""
    metrics = {"kept": "of the rate before", "mbps": "MB/s then",
               "held": "MB held"}
    fresh, quick_rounds = True, 3

    def __init__(self, others, long_ms=0):
        if long_ms:
            self.quick_rounds = 1
        self.others, self.long_ms = others, long_ms

    def measure(self, run, name, args):
        idle = run.rss()
        argv = [run.env.load, "stall", *run.way, "--streams", self.others,
                "--seconds", args.seconds, "--timeout", args.timeout]
        with subprocess.Popen(map(str, argv), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as p:
            r = read_json(p)
            held = (run.rss() - idle) / 1000
            p.kill()
        if not r["before"]:
            raise Failed("nothing moved before the stall")
        return {"kept": r["after"] / r["before"], "mbps": r["after"],
                "held": held, **bad(r)}


def read_json(p):
    line = p.stdout.readline()
    if not line:
        raise Failed("the load program ended")
    return json.loads(line)


@contextlib.contextmanager
def held(run, n):
    """n idle streams that have moved bytes."""
    argv = [run.env.load, "idle", *run.way, "--streams", n, "--timeout", 5]
    with subprocess.Popen(map(str, argv), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        r = read_json(p)
        if r["failed"]:
            p.kill()
            raise Failed(f"only {r['held']} of {n} streams")
        yield p
        with contextlib.suppress(OSError):
            p.stdin.write(b"\n")
            p.stdin.flush()
            alive = read_json(p)["alive"]
            if alive != n:
                raise Failed(f"{n - alive} of {n} streams had died")
        p.kill()


class Idle:
    metrics = {"kb": "kB per idle stream"}
    fresh, quick_rounds = True, 1

    def __init__(self, n):
        self.n = n

    def measure(self, run, name, args):
        before = run.rss()
        with held(run, self.n):
            run.settle()
            after = run.rss()
        return {"kb": (after - before) / self.n}


class Start:
    """From exec() until a byte comes back; of wsp also until it says ready."""
    metrics = {"ready_ms": "ms until ready", "byte_ms": "ms until a byte",
               "client_kb": "kB client", "server_kb": "kB server"}
    fresh, quick_rounds = True, 3

    def measure(self, run, name, args):
        argv = run.procs["client"].args
        client = run.procs["client"]
        run.settle()
        result = {"client_kb": run.rss("client"), "server_kb": run.rss("server")}
        client.terminate()
        client.wait()
        time.sleep(0.1)
        is_wsp = argv[1:2] == ["client"] and "--socks" in argv
        begin = time.monotonic()
        if is_wsp:
            p = run.spawn("client", [*argv, "--announce"],
                          stdout=subprocess.PIPE)
            while (line := p.stdout.readline()) and line.strip() != b"ready":
                pass
            result["ready_ms"] = (time.monotonic() - begin) * 1e3
        else:
            run.spawn("client", argv)
        run.works()
        result["byte_ms"] = (time.monotonic() - begin) * 1e3
        return result


class LongBulk:
    """One stream over a long way: round trip 100 ms, no limit of rate."""
    metrics = {"mbps": "MB/s", "early": "in the first second",
               "steady": "in the second half", "rss": "MB of memory more"}
    fresh, long_ms, quick_rounds = True, LONG_MS, 1

    def measure(self, run, name, args):
        idle, peak = run.rss(), 0
        argv = [run.env.load, "bulk", *run.way, "--bytes",
                args.long_mb * MB, "--limit", args.long_seconds]
        with subprocess.Popen(map(str, argv), stdout=subprocess.PIPE) as p:
            while p.poll() is None:
                peak = max(peak, run.rss())
                time.sleep(0.2)
            r = read_json(p)
            if line := p.stdout.readline():
                r.update(json.loads(line))
        r.pop("unfinished", None)
        return {**{k: r[k] for k in ("mbps", "early", "steady") if k in r},
                "rss": (peak - idle) / 1000, **bad(r)}


class LongFirst:
    """In round trips, with data sent along: SOCKS and GET; then open, echo."""
    metrics = {"early": "round trips, SOCKS early", "http": "GET",
               "echo": "SOCKS, then echo"}
    fresh, long_ms, quick_rounds = True, LONG_MS, 1

    def measure(self, run, name, args):
        r = run.load("first")
        result = {}
        if r["early_ms"] >= 0:
            result["early"] = r["early_ms"] / (2 * LONG_MS)
        if r["echo_ms"] >= 0:
            result["echo"] = r["echo_ms"] / (2 * LONG_MS)
        if run.http:
            h = run.load("first", way=run.http)["early_ms"]
            if h >= 0:
                result["http"] = h / (2 * LONG_MS)
        return result


class Busy:
    """1,000 busy streams beside what 8 have in the same round."""
    metrics = {"ratio": "1,000 streams / 8", "mbps": "MB/s",
               "kb": "kB per busy stream"}
    fresh, quick_rounds = True, 3

    def measure(self, run, name, args):
        rates, idle = [], run.rss()
        for n in (8, 1000):
            r, peak = self.busy(run, n, args)
            rates.append(r)
            run.settle(1)
        few, many = (r["mbps"] for r in rates)
        rates[1].pop("unfinished")
        return {"ratio": many / few if few else 0, "mbps": many,
                "kb": (peak - idle) / n, **bad(rates[1])}

    def busy(self, run, n, args):
        """(what the load program says, most kB of memory meanwhile)"""
        argv = [run.env.load, "bulk", *run.way, "--streams", n, "--seconds",
                args.seconds, "--timeout", 5]
        peak = 0
        with subprocess.Popen(map(str, argv), stdout=subprocess.PIPE) as p:
            while p.poll() is None:
                peak = max(peak, run.rss())
                time.sleep(0.1)
            return read_json(p), peak


class Grow:
    """CPU of an open beside 10 open streams and beside 10,000."""
    metrics = {"ratio": "10,000 / 10", "few_ms": "CPU-ms at 10",
               "many_ms": "CPU-ms at 10,000"}
    fresh = True

    def measure(self, run, name, args):
        cost = []
        for n in (10, args.many):
            with held(run, n):
                run.settle()
                before = run.cpu()
                r = run.load("opens", "--streams", 8, "--seconds",
                             2 * args.seconds)
                cost.append((run.cpu() - before) * 1e3 / max(r["opens"], 1))
        return {"ratio": cost[1] / cost[0], "few_ms": cost[0],
                "many_ms": cost[1]}


class Tunnels:
    """A thousand clients of one server, all idle."""
    metrics = {"kb": "kB of the server per tunnel", "cpu": "% CPU, idle"}
    fresh, only = True, ("ws", "wss")

    def measure(self, run, name, args):
        argv = list(run.procs["client"].args)
        argv[argv.index("--socks") + 1] = "0"
        i = argv.index("--http")
        del argv[i:i + 2]
        # On a busy machine the handshake is slow, and the way seems long: a
        # client of its own mind would begin with four connections.
        argv += ["--connections", "1"]
        before = run.rss("server")
        clients = []
        try:
            for at in range(0, args.tunnels, 20):
                some = [subprocess.Popen(
                    [*argv, "--announce"], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    for _ in range(min(20, args.tunnels - at))]
                clients += some
                for p in some:
                    while (line := p.stdout.readline()) != b"ready\n":
                        if not line:
                            raise Failed("a client ended")
            run.settle()
            kb = (run.rss("server") - before) / args.tunnels
            cpu, begin = run.cpu("server"), time.monotonic()
            time.sleep(args.idle_seconds)
            cpu = run.cpu("server") - cpu
            return {"kb": kb,
                    "cpu": cpu * 100 / (time.monotonic() - begin)}
        finally:
            for p in clients:
                p.kill()
            for p in clients:
                p.wait()
                p.stdout.close()


class Calls:
    """System calls and context switches per GB, client and server together;
    by perf, else by strace (which is slower, so that more is done in one)."""
    metrics = {"calls": "system calls/GB", "switches": "context switches/GB"}
    fresh = True

    def __init__(self, up):
        self.words = ["--streams", 1, *(["--up"] if up else [])]

    def measure(self, run, name, args):
        n = min(args.mb, 1000) * MB
        run.load("bulk", *self.words, "--bytes", n // 10)
        run.settle()
        result = {"voluntary": -run.switches()}
        pids = [str(p) for p in run.pids()]
        perf = ["perf", "stat", "-x", ";", "-e",
                "raw_syscalls:sys_enter,context-switches"]
        if command([*perf, "true"]) is not None:
            out = self.trace([*perf, "-p", ",".join(pids)], run, n)
            for word, key in (("sys_enter", "calls"),
                              ("context-switches", "switches")):
                m = re.search(r"^(\d+);[^\n]*" + word, out, re.M)
                result[key] = int(m.group(1)) * GB / n if m else 0
        elif command(["strace", "-V"]) is not None:
            out = self.strace(pids, run, n)
            result["calls"] = sum(out.values()) * GB / n
        else:
            raise Failed("neither perf nor strace")
        result["voluntary"] = (result["voluntary"] + run.switches()) * GB / n
        if name.split()[-1] in ("ws", "wss") and command(["strace", "-V"]):
            for call, k in sorted(self.strace(pids, run, n).items(),
                                  key=lambda i: -i[1])[:6]:
                result[f"strace {call}"] = k * GB / n
        return result

    def strace(self, pids, run, n):
        out = self.trace(["strace", "-f", "-c", *[w for p in pids
                                                  for w in ("-p", p)]], run, n)
        return {m[1]: int(m[0]) for m in re.findall(
            r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", out, re.M)
            if m[1] != "total"}

    def trace(self, argv, run, n):
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        run.load("bulk", *self.words, "--bytes", n)
        p.send_signal(signal.SIGINT)
        return p.communicate(timeout=20)[1]


def threads(pid):
    """CPU seconds of each thread."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            w = f.read().rsplit(")", 1)[1].split()
        found.append((task, (int(w[11]) + int(w[12])) / TICK))
    return dict(found)


class Workers:
    """A server of two workers, a client of two connections: who does what."""
    metrics = {"least": "least share of a worker", "most": "most",
               "cpu_ratio": "CPU-s/GB, 2 workers / 1"}
    fresh, only = True, ("ws", "wss")

    def measure(self, run, name, args):
        one = self.cost(run, args, 1)[0]
        two, shares = self.cost(run, args, 2)
        return {"least": min(shares), "most": max(shares),
                "cpu_ratio": two / one}

    def cost(self, run, args, workers):
        """(the server's CPU-s per GB, shares of the two busiest threads)"""
        old = run
        binary = old.procs["server"].args[0]
        for mode, word in (("server", "--workers"), ("client",
                                                     "--connections")):
            if word not in (command([binary, mode, "--help"]) or ""):
                raise Failed(f"wsp {mode} has no {word}")
        run = Run(old.env)
        try:
            server = [*old.procs["server"].args, "--workers", workers]
            client = [*old.procs["client"].args, "--connections", 2]
            old.stop()
            run.way = old.way
            run.spawn("server", server)
            time.sleep(0.3)
            run.spawn("client", client)
            run.works()
            pid = run.procs["server"].pid
            # A word of each stream tells the client that its streams are
            # bulk: those of the second half take the other connection.
            run.load("bulk", "--streams", 8, "--seconds", args.seconds)
            time.sleep(4)  # those of an application that has gone stay 3 s
            run.settle()
            n = min(args.mb, 2000) * MB
            before = threads(pid)
            run.load("bulk", "--streams", 8, "--bytes", n)
            after = threads(pid)
        finally:
            run.stop()
        used = sorted((after[t] - before.get(t, 0) for t in after),
                      reverse=True)
        total = sum(used)
        return total * GB / n, [u / total for u in used[:2]] + [0] * (
            2 - len(used[:2]))


ROWS = {
    "down1": Bulk(1, False), "up1": Bulk(1, True),
    "down8": Bulk(8, False), "up8": Bulk(8, True),
    "ping": Ping(), "ping4d": Ping(4), "ping4u": Ping(4, True),
    "ping64d": Ping(64),
    "late4d": Ping(4, late=True), "late4u": Ping(4, True, late=True),
    "late64d": Ping(64, late=True),
    "opens": Opens(),
    "idle1000": Idle(1000), "idle10000": Idle(10000),
    "start": Start(),
    "long": LongBulk(), "longfirst": LongFirst(),
    "longstall": Stall(1, LONG_MS),
    "stall1": Stall(1), "stall100": Stall(100),
    "busy1000": Busy(), "grow": Grow(), "tunnels": Tunnels(),
    "workers": Workers(),
    "callsdown": Calls(False), "callsup": Calls(True),
}
# Not rates, and slow: measured once, or for wsp and the bare relays only.
ONCE = {"idle10000", "grow", "tunnels", "workers", "callsdown", "callsup"}
TITLES = {
    "down1": "download, 1 stream", "up1": "upload, 1 stream",
    "down8": "download, 8 streams", "up8": "upload, 8 streams",
    "ping": "64 B ping-pong, quiet",
    "ping4d": "64 B ping-pong beside 4 downloads",
    "ping4u": "64 B ping-pong beside 4 uploads",
    "ping64d": "64 B ping-pong beside 64 downloads",
    "late4d": "64 B ping-pong of a later stream beside 4 downloads",
    "late4u": "64 B ping-pong of a later stream beside 4 uploads",
    "late64d": "64 B ping-pong of a later stream beside 64 downloads",
    "opens": "open, 1 byte, close; 8 at a time",
    "idle1000": "1,000 idle streams", "idle10000": "10,000 idle streams",
    "start": "start, and memory of idle processes",
    "long": "1 download over a round trip of 100 ms",
    "longfirst": "first byte over a round trip of 100 ms",
    "longstall": "1 stalled reader and 1 other, 100 ms",
    "stall1": "1 stalled reader and 1 other",
    "stall100": "1 stalled reader and 100 others",
    "busy1000": "1,000 busy streams", "grow": "an open beside open streams",
    "tunnels": "idle tunnels on one server", "workers": "two workers",
    "callsdown": "system calls, download", "callsup": "system calls, upload",
}

LESS, MORE = "at most", "at least"
# (row, kind, metric, compared with, at least or at most, how much). Compared
# with: "abs" nothing, "bare" the bare relays of the same round, "quiet" the
# system's own quiet ping, "rival" the best rival, "tls" the best over TLS.
TARGETS = [
    *[(row, "ws", "mbps", "bare", MORE, x) for row, x in (
        ("down1", 1.4), ("up1", 1.4), ("down8", 1.15), ("up8", 1.15))],
    *[(row, "ws", "cpu_gb", "bare", LESS, 0.65)
      for row in ("down1", "up1", "down8", "up8")],
    *[(row, "own", "mbps", "bare", MORE, x) for row, x in (
        ("down1", 1.2), ("up1", 1.2), ("down8", 1), ("up8", 1))],
    *[(row, "own", "cpu_gb", "bare", LESS, 0.8)
      for row in ("down1", "up1", "down8", "up8")],
    *[(row, "ws", "mbps", "rival", MORE, 1)
      for row in ("down1", "up1", "down8", "up8")],
    *[(row, "wss", "mbps", "bare", MORE, 0.9)
      for row in ("down1", "up1", "down8", "up8")],
    *[(row, "wss", "cpu_gb", "bare", LESS, 1.3)
      for row in ("down1", "up1", "down8", "up8")],
    *[(row, "wss", "mbps", "tls", MORE, 1.6)
      for row in ("down1", "up1", "down8", "up8")],
    ("ping", "ws", "p50", "bare", LESS, 1.05),
    ("ping", "ws", "p99", "bare", LESS, 1.25),
    *[t for row in ("ping4d", "ping4u", "late4d", "late4u") for t in (
        (row, "ws", "p50", "quiet", LESS, 5),
        (row, "ws", "p99", "bare", LESS, 0.7),
        (row, "ws", "mbps", "bare", MORE, 0.9))],
    *[(row, "ws", metric, "bare", LESS, 1) for row in ("ping64d", "late64d")
      for metric in ("p50", "p99")],
    ("opens", "ws", "rate", "bare", MORE, 2),
    ("opens", "ws", "rate", "ssh -D", MORE, 1.6),
    *[(row, kind, "kb", "abs", LESS, 4) for row in ("idle1000", "idle10000")
      for kind in ("ws", "wss")],
    ("start", "ws", "ready_ms", "abs", LESS, 30),
    *[("start", kind, m, "abs", LESS, x) for m in ("client_kb", "server_kb")
      for kind, x in (("ws", 4000), ("wss", 7000))],
    ("long", "ws", "mbps", "rival", MORE, 1),
    ("long", "ws", "rss", "abs", LESS, 512),  # a budget of 256 MiB each
    ("longfirst", "ws", "early", "abs", LESS, 1.1),
    ("longfirst", "ws", "http", "abs", LESS, 1.1),
    ("longfirst", "ws", "echo", "abs", LESS, 2.1),
    ("longstall", "ws", "held", "abs", LESS, 512),
    *[(row, kind, "kept", "abs", MORE, 0.95)
      for row in ("longstall", "stall1", "stall100")
      for kind in ("ws", "wss")],
    *[("busy1000", kind, "kb", "abs", LESS, 4096) for kind in ("ws", "wss")],
    ("busy1000", "ws", "ratio", "abs", MORE, 0.9),
    ("busy1000", "wss", "ratio", "abs", MORE, 0.9),
    ("grow", "ws", "ratio", "abs", LESS, 1.15),
    ("grow", "wss", "ratio", "abs", LESS, 1.15),
    ("tunnels", "ws", "kb", "abs", LESS, 24),
    ("tunnels", "wss", "kb", "abs", LESS, 64),
    ("tunnels", "ws", "cpu", "abs", LESS, 1),
    ("tunnels", "wss", "cpu", "abs", LESS, 1),
    ("workers", "wss", "least", "abs", MORE, 0.4),
    ("workers", "wss", "most", "abs", LESS, 0.6),
    ("workers", "wss", "cpu_ratio", "abs", LESS, 1.05),
]

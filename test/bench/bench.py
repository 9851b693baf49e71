#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: wsp, two bare relays in a row, and rivals, side by side.

Rounds are interleaved: each system once in each round of a row, so that what
the machine does meanwhile meets all of them; compare ratios. README.md beside
this file says what is measured and how."""
import argparse
import os
import shlex
import sys
import tempfile
import time

import report
from rows import ONCE, ROWS, TITLES
from systems import CONGESTION, Env, Failed, Missing, Run, command, systems

RIVALS = ("rival", "tls")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def named(text):
    name, _, path = text.rpartition("=")
    return name or "wsp", os.path.abspath(path)


def arguments():
    p = argparse.ArgumentParser(
        description="rows: " + "; ".join(f"{k}: {v}" for k, v in
                                         TITLES.items()))
    p.add_argument("--quick", action="store_true",
                   help="short rounds, few of rivals, in under 15 minutes")
    p.add_argument("--rows", help="only these, with commas between")
    p.add_argument("--systems", help="only those whose names begin so; "
                   "the bare relays are always there")
    p.add_argument("--wsp", type=named, action="append",
                   metavar="[NAME=]PATH", help="repeatable")
    p.add_argument("--server-args", type=shlex.split, default=[],
                   metavar="'WORDS'", help="more options for wsp server")
    p.add_argument("--client-args", type=shlex.split, default=[],
                   metavar="'WORDS'", help="more options for wsp client")
    p.add_argument("--rounds", type=int, help="5")
    p.add_argument("--rival-rounds", type=int,
                   help="as many of rivals (--rounds, quick 1)")
    p.add_argument("--minutes", type=float,
                   help="then the rows that are left are measured once and "
                   "without rivals (no limit, quick 12)")
    p.add_argument("--seconds", type=float,
                   help="of one measurement (1.5, quick 0.6)")
    p.add_argument("--mb", type=int, help="of one transfer, at most")
    p.add_argument("--many", type=int, default=10000, help=argparse.SUPPRESS)
    p.add_argument("--tunnels", type=int, default=1000,
                   help="in the row of that name")
    p.add_argument("--timeout", type=float, default=5,
                   help="give up after so long without progress")
    p.add_argument("--tools", default=os.path.join(ROOT, "build/bench"),
                   help="where load and relay are")
    p.add_argument("--out", help="directory of the results (that of the tools)")
    args = p.parse_args()
    quick = args.quick
    args.wsp = args.wsp or [("wsp", os.path.join(ROOT, "build/wsp"))]
    args.rounds = args.rounds or 5
    args.rival_rounds = args.rival_rounds or (1 if quick else args.rounds)
    args.minutes = args.minutes or (12 if quick else float("inf"))
    args.seconds = args.seconds or (0.6 if quick else 1.5)
    args.mb = args.mb or (1000 if quick else 4000)
    args.long_seconds = 8 if quick else 20
    args.long_mb = min(4000, args.mb * (4 if quick else 1))
    args.idle_seconds = 10 if quick else 30
    args.rows = args.rows.split(",") if args.rows else list(ROWS)
    args.out = args.out or args.tools
    if unknown := set(args.rows) - set(ROWS):
        p.error(f"no such row: {', '.join(unknown)}")
    return args


def gcm_cost():
    """Seconds per GB that AES-128-GCM costs, sealing and opening."""
    costs = []
    for way in ([], ["-decrypt"]):
        out = command(["openssl", "speed", *way, "-elapsed", "-mr", "-seconds",
                       "1", "-bytes", "16384", "-evp", "aes-128-gcm"])
        fields = [x for x in (out or "").splitlines() if x.startswith("+F")]
        if not fields:
            return "unknown"
        costs.append(1e9 / float(fields[0].split(":")[-1]))
    return "AES-128-GCM by openssl, s/GB: seal %.2f, open %.2f" % tuple(costs)


def machine(args):
    with open("/proc/cpuinfo") as f:
        models = {x.split(":")[1].strip() for x in f
                  if x.startswith("model name")}
    return {
        "processor": f"{os.cpu_count()} x {', '.join(models) or 'unknown'}",
        "kernel": os.uname().release,
        "congestion control": CONGESTION,
        "crypto": gcm_cost(),
        "rounds": f"{args.rounds} of {args.seconds} s",
        "wsp": ", ".join(f"{n} {p}" for n, p in args.wsp),
    }


def wanted(name, words, all_names):
    """A word is a name, or else the beginning of names."""
    return any(name == w or w not in all_names and name.startswith(w)
               for w in words)


class Bench:
    """Systems that are started when needed, and the results."""

    def __init__(self, env, args):
        self.env, self.args = env, args
        self.all = systems(args)
        if args.systems:
            self.all = {n: s for n, s in self.all.items() if n == "bare" or
                        wanted(n, args.systems.split(","), self.all)}
        self.runs, self.begin = {}, time.monotonic()
        self.done = {"machine": machine(args), "rows": {}, "skipped": {},
                     "kinds": {n: s[0] for n, s in self.all.items()}}

    def start(self, name, row=None):
        run = Run(self.env, getattr(row, "long_ms", 0))
        try:
            self.all[name][1](run)
            run.works()
        except BaseException:
            run.stop()
            raise
        return run

    def rested(self, name):
        """The running system name; a new one if it has not come to rest."""
        run = self.runs.pop(name, None)
        if run and not run.settle():
            run.stop()
            run = None
        self.runs[name] = run or self.start(name)
        return self.runs[name]

    def measure(self, row, name):
        how = ROWS[row]
        fresh = getattr(how, "fresh", False)
        run = None
        try:
            if fresh:
                run = self.start(name, how)
            else:
                run = self.rested(name)
            return how.measure(run, name, self.args)
        except Failed as e:
            if name in self.runs and not fresh:
                self.runs.pop(name).stop()
            return {"error": str(e)}
        finally:
            if fresh and run:
                run.stop()

    def try_all(self):
        """Leaves out what is not installed, or does not start here."""
        for name in list(self.all):
            try:
                self.start(name).stop()
            except (Missing, Failed) as e:
                why = ("not installed: " if isinstance(e, Missing) else "")
                self.done["skipped"][name] = why + str(e)
                del self.all[name]
                print(f"skipped {name}: {why}{e}", file=sys.stderr)

    def names(self, row):
        """Whom this row is about."""
        how, kinds = ROWS[row], self.done["kinds"]
        names = [n for n in self.all
                 if kinds[n] in getattr(how, "only", kinds.values())
                 and (kinds[n] != "own" or getattr(how, "own", False))
                 and not (self.late() and kinds[n] in RIVALS)]
        if row in ONCE:  # heavy, and not what rivals are compared by
            names = [n for n in names if kinds[n] not in RIVALS
                     or row.startswith("calls")]
            if row in ("idle10000", "grow"):  # its descriptors do not suffice
                names = [n for n in names if n != "bare"]
        return names

    def late(self):
        return time.monotonic() - self.begin > self.args.minutes * 60

    def rounds(self, row):
        if row in ONCE or self.late():
            return 1
        few = getattr(ROWS[row], "quick_rounds", self.args.rounds)
        return min(self.args.rounds, few) if self.args.quick else (
            self.args.rounds)

    def row(self, row):
        names, begin = self.names(row), time.monotonic()
        results = self.done["rows"][row] = {n: [] for n in names}
        for i in range(self.rounds(row)):
            if i >= self.args.rival_rounds:
                names = [n for n in names
                         if self.done["kinds"][n] not in RIVALS]
            for name in names[i % len(names):] + names[:i % len(names)]:
                results[name].append(self.measure(row, name))
        print("\n".join(report.row_report(row, self.done)))
        print(f"    {time.monotonic() - begin:.0f} s\n", flush=True)

    def close(self):
        for run in self.runs.values():
            run.stop()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as directory:
        env = Env(args, directory)
        bench = Bench(env, args)
        try:
            bench.try_all()
            for row in args.rows:
                bench.row(row)
                report.write(bench.done, args.out)
        finally:
            bench.close()
            env.close()
    for line in report.text(bench.done).split("what it must reach:")[1:]:
        print("what it must reach:" + line)
    print(f"{time.monotonic() - bench.begin:.0f} s; {args.out}/result.json, "
          "result.txt, and a plot of each row")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make coverage: which lines of ours do the tests reach?

Runs unit, sim, end-to-end and interop tests once, on a build with counters
(build/cov/), and writes to build/coverage.txt each line that was not reached.
Fails when proto/ or all is below what LEAST says, in percent of lines. What
is killed with SIGKILL counts nothing.

--report    only reads the counters of the last run
--fuzz      instead, runs each fuzz target's corpus (build/corpus/) and seeds
            once, and says how much of its parser it reaches; the lines that
            none reaches are in build/fuzz-coverage.txt
FILE...     only these test files of pytest's, instead of all of them
"""
import glob
import gzip
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
COV = "build/cov"
OUT = "build/coverage.txt"
LEAST = {"proto": 97.0, "all": 92.0}
OURS = ("proto/", "core/", "modes/", "wsp.c")

# With --fuzz.
REPLAY = "build/replay/cov"
FUZZ_OUT = "build/fuzz-coverage.txt"
FUZZ_LEAST = 90.0
PARSERS = {  # the files that each target is about
    "addr": "proto/addr proto/cidr proto/noproxy proto/pin modes/egress",
    "gate": "proto/gate proto/field",
    "gcm": "core/gcm core/gcmipsec core/gcmgcrypt",
    "htpasswd": "proto/htpasswd",
    "http1": "proto/http1 proto/head proto/fields proto/body proto/chunked",
    "msg": "proto/msg",
    "mux": "proto/mux proto/stream proto/gowsp proto/credit proto/bulk",
    "options": "core/opt modes/options_read modes/options_set "
               "modes/options_listen modes/options_gowsp modes/proxy",
    "pair": "proto/stream proto/credit proto/bulk",
    "proxyproto": "proto/proxyproto",
    "response": "proto/response proto/body proto/chunked",
    "site": "proto/site",
    "socks4": "proto/socks4",
    "socks5": "proto/socks5",
    "tokenline": "proto/tokenline",
    "upgrade": "proto/upgrade proto/upgrade_value",
    "upstream": "proto/upstream",
    "ws": "proto/ws proto/mask",
}


def say(text):
    print(text, flush=True)


def run(name, argv, **env):
    code = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, errors="replace",
                          env={**os.environ, **env})
    lines = code.stdout.strip().splitlines()
    good = code.returncode in (0, 5)  # 5: pytest has found no test
    if not good:
        say("\n".join(lines[-40:]))
    say(f"{name}: {lines[-1] if lines else 'ok'}")
    return good


def forget(build):
    for f in glob.glob(f"{build}/**/*.gcda", recursive=True):
        os.unlink(f)


def run_all(files):
    """Were all good? Those that failed count too: some measure time, and this
    build is slow."""
    forget(COV)
    good = True
    for p in sorted(glob.glob(f"{COV}/unit/test_*")):
        if os.access(p, os.X_OK) and not p.endswith((".o", ".d", ".gcno")):
            good &= run(os.path.basename(p), [p])
    good &= run("mux_sim", [f"{COV}/sim/mux_sim", "1", "20000", "10"])
    env = {"WSP_BIN": os.path.abspath(f"{COV}/wsp"),
           "WSP_ECHO_BIN": os.path.abspath(f"{COV}/ws_echo")}
    for path in files or ["test/e2e", "test/interop"]:
        good &= run(path, [sys.executable, "-m", "pytest", "-q", "-p",
                           "no:cacheprovider", "--tb=short", path], **env)
    return good


def read_counters(notes):
    """{file: {line: how often}}, of these objects together."""
    seen = {}
    out = subprocess.run(["gcov", "--json-format", "--stdout", *notes],
                         stdout=subprocess.PIPE, check=True,
                         stderr=subprocess.DEVNULL).stdout
    if out[:2] == b"\x1f\x8b":
        out = gzip.decompress(out)
    for text in out.splitlines():
        for f in json.loads(text)["files"] if text.strip() else []:
            name = os.path.relpath(os.path.join(ROOT, f["file"]), ROOT)
            if not name.startswith(OURS):
                continue
            counts = seen.setdefault(name, {})
            for line in f["lines"]:
                n = line["line_number"]
                counts[n] = counts.get(n, 0) + line["count"]
    return seen


def percent(files):
    lines = sum(len(c) for c in files)
    hit = sum(1 for c in files for n in c.values() if n)
    return 100.0 * hit / lines if lines else 100.0, hit, lines


def list_missed(seen, path):
    with open(path, "w") as out:
        for name in sorted(seen):
            figure, hit, lines = percent([seen[name]])
            out.write(f"{name}: {figure:.1f} % ({hit} of {lines})\n")
            with open(name) as f:
                text = f.read().splitlines()
            for n in sorted(k for k, v in seen[name].items() if not v):
                out.write(f"{name}:{n}: {text[n - 1].strip()}\n")


def report():
    seen = read_counters(sorted(
        p for d in ("proto", "core", "modes", ".")
        for p in glob.glob(f"{COV}/{d}/*.gcno")))
    list_missed(seen, OUT)
    short = []
    for part in ("proto", "core", "modes", "all"):
        figure, hit, lines = percent([
            c for name, c in seen.items()
            if part == "all" or name.startswith(part + "/")])
        say(f"{part:6} {figure:5.1f} % ({hit} of {lines} lines)")
        if figure < LEAST.get(part, 0):
            short.append(f"{part} is below {LEAST[part]} %")
    say(f"the lines that were not reached: {OUT}")
    if short:
        sys.exit(", ".join(short))


def missing(have):
    targets = {os.path.basename(p)[5:-2]
               for p in glob.glob("test/fuzz/fuzz_*.c")}
    if targets != set(have):
        sys.exit(f"PARSERS: {targets ^ set(have)}")


def report_fuzz():
    missing(PARSERS)
    reached, short = {}, []
    for name, words in PARSERS.items():
        files = [w + ".c" for w in words.split()]
        forget(REPLAY)
        subprocess.run([f"{REPLAY}/replay/fuzz_{name}", *(
            f"{d}/fuzz_{name}" for d in ("build/corpus", "build/seeds",
                                         "test/fuzz/seeds"))], check=True)
        seen = read_counters([f"{REPLAY}/{w}.gcno" for w in words.split()])
        figure, hit, lines = percent([seen[f] for f in files])
        say(f"{name:10} {figure:5.1f} % ({hit} of {lines} lines)  {words}")
        if figure < FUZZ_LEAST:
            short.append(name)
        for f in files:
            counts = reached.setdefault(f, {})
            for n, k in seen[f].items():
                counts[n] = counts.get(n, 0) + k
    list_missed(reached, FUZZ_OUT)
    say(f"the lines that were not reached: {FUZZ_OUT}")
    if short:
        sys.exit(f"below {FUZZ_LEAST} %: {', '.join(short)}")


args = sys.argv[1:]
if "--fuzz" in args:
    report_fuzz()
    sys.exit()
good = "--report" in args or run_all(args)
report()
sys.exit(not good)

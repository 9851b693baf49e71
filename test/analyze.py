#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make analyze: gcc -fanalyzer, clang --analyze and clang-tidy (.clang-tidy) on
every file of the program; cppcheck is part of make lint. Clean is what has no
finding but those of test/analyze.supp; one there that is found no more is said
too. A tool that is not installed is counted as skipped.

analyze.py GEN FLAG...: where wsp.pb.h is, and the compiler's flags
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-I.", f"-I{sys.argv[1]}", *sys.argv[2:]]
FILES = [f for d in ("proto", "core", "modes")
         for f in sorted(glob.glob(f"{d}/*.c"))] + ["wsp.c"]
TOOLS = {
    "gcc": ["gcc", *FLAGS, "-O1", "-fanalyzer", "-c", "-o", "/dev/null"],
    "clang": ["clang", "--analyze", *FLAGS, "-o", "/dev/null"],
    "clang-tidy": ["clang-tidy", "--quiet"],
}
FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*) "
                     r"\[(?:CWE-\d+\] \[)?([^\]]*)\]$", re.M)


def known():
    """{(file, checker)}"""
    with open("test/analyze.supp") as f:
        return {tuple(line.split()) for line in f
                if line.strip() and not line.startswith("#")}


def analyze(tool, path):
    argv = [*TOOLS[tool], path]
    if tool == "clang-tidy":
        argv += ["--", *FLAGS]
    p = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                       stderr=subprocess.STDOUT, errors="replace")
    found = [(os.path.relpath(f), line, text, checker)
             for f, line, text, checker in FINDING.findall(p.stdout)]
    if p.returncode and not found:
        found = [(path, "1", p.stdout[-2000:], tool)]
    return found


def main():
    have = [t for t in TOOLS if shutil.which(t)]
    seen, bad = set(), set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(analyze, t, f) for t in have for f in FILES]
        for job in jobs:
            for path, line, text, checkers in job.result():
                keys = {(path, c) for c in checkers.split(",")}
                if keys & known():
                    seen |= keys
                else:
                    bad.add(f"{path}:{line}: {text} [{checkers}]")
    print(*sorted(bad), sep="\n", end="\n" if bad else "")
    if len(have) == len(TOOLS):
        for path, checker in sorted(known() - seen):
            print(f"test/analyze.supp: {path} {checker}: not found any more")
    skipped = [t for t in TOOLS if t not in have]
    print(f"{len(FILES)} files by {', '.join(have)}: {len(bad)} findings"
          + (f"; skipped, not installed: {', '.join(skipped)}" if skipped
             else ""))
    sys.exit(bool(bad))


main()

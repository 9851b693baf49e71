# SPDX-License-Identifier: MIT
"""What was measured, as text, as JSON, and as a plot for each row."""
import html
import json
import os
import statistics

from rows import LESS, ROWS, TARGETS, TITLES

COLORS = {"bare": "#888888", "ws": "#1f6fb4", "wss": "#3a9a5b",
          "own": "#6fa8d6", "rival": "#d0893b", "tls": "#b0594f"}


def values(rounds, metric):
    return [r[metric] for r in rounds if r.get(metric) is not None]


def median(rounds, metric):
    found = values(rounds, metric)
    return statistics.median(found) if found else None


def ratio(mine, theirs, metric):
    """The median of the ratios of each round in which both have a figure."""
    both = [a[metric] / b[metric] for a, b in zip(mine, theirs)
            if a.get(metric) is not None and b.get(metric)]
    return statistics.median(both) if both else None


def number(x):
    if x is None:
        return "-"
    if abs(x) >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def notes(rounds):
    """Truncated streams, and what was said of rounds that failed."""
    found = []
    for word in ("no_end", "truncated", "corrupt", "failed", "unfinished"):
        if n := sum(r.get(word, 0) for r in rounds):
            found.append(f"{n:.0f} {word}")
    errors = [r["error"] for r in rounds if "error" in r]
    if errors:
        found.append(f"{len(errors)} x: {errors[0]}")
    return ", ".join(found)


def row_text(row, results, kinds):
    """The lines of one row's table."""
    metrics = ROWS[row].metrics
    out = [f"{row}: {TITLES[row]}",
           f"{'':14}" + "".join(f"{u:>30}" for u in metrics.values())]
    for name, rounds in results.items():
        line = f"  {name:12}"
        for m in metrics:
            found = values(rounds, m)
            cell = number(median(rounds, m))
            if len(found) > 1:
                cell += f" ({number(min(found))}..{number(max(found))})"
            r = None
            if kinds[name] != "bare" and "bare" in results:
                r = ratio(rounds, results["bare"], m)
            cell += f" {r:5.2f}x" if r is not None else "       "
            line += f"{cell:>30}"
        out.append(f"{line}  {notes(rounds)}".rstrip())
    return out


def compared(row, name, metric, base, done):
    """What a target is about, or None: the figure, or its ratio to base."""
    results, kinds = done["rows"][row], done["kinds"]
    mine = results[name]
    if base == "abs":
        return median(mine, metric)
    if base == "quiet":
        own = done["rows"].get("ping", {}).get(name, [])
        x, y = median(mine, metric), median(own, metric)
        return x / y if x is not None and y else None
    if base in ("rival", "tls"):
        wanted = ("rival", "tls") if base == "rival" else ("tls",)
        best = [r for r in (ratio(mine, results[n], metric) for n in results
                            if kinds[n] in wanted) if r is not None]
        return min(best) if best else None
    return ratio(mine, results.get(base, []), metric)


def checks(done):
    found = []
    for row, kind, metric, base, how, limit in TARGETS:
        for name in done["rows"].get(row, {}):
            if done["kinds"][name] != kind:
                continue
            x = compared(row, name, metric, base, done)
            good = x is not None and (x <= limit if how == LESS else
                                      x >= limit)
            found.append({
                "row": row, "system": name, "metric": metric, "base": base,
                "how": how, "limit": limit, "is": x,
                "result": "none" if x is None else "met" if good else "short"})
    return found


def check_text(c):
    what = c["metric"] + ("" if c["base"] == "abs" else f" / {c['base']}")
    return (f"{c['result']:6}{c['row']:10}{c['system']:10}"
            f"{what:18}{number(c['is']):>8}  {c['how']} {c['limit']}")


def checks_text(found):
    out = ["what it must reach:"]
    for c in found:
        out.append("  " + check_text(c))
    tally = [sum(c["result"] == r for c in found)
             for r in ("met", "short", "none")]
    out.append("%d met, %d short, %d without a figure" % tuple(tally))
    return out


def row_report(row, done):
    """A row's table, and its aims beside."""
    return [*row_text(row, done["rows"][row], done["kinds"]),
            *("    aim: " + check_text(c) for c in checks(done)
              if c["row"] == row)]


def text(done):
    out = [f"{k}: {v}" for k, v in done["machine"].items()]
    for row in done["rows"]:
        out += ["", *row_report(row, done)]
    out += ["", *checks_text(done["checks"])]
    for name, why in done["skipped"].items():
        out.append(f"skipped {name}: {why}")
    out.append(f"{len(done['skipped'])} systems skipped")
    return "\n".join(out)


def cell(rounds, metric, theirs):
    """A median, and its ratio to that of theirs in the same rounds."""
    x = median(rounds, metric)
    if x is None:
        return ""
    r = ratio(rounds, theirs, metric) if theirs else None
    return number(x) + (f" ({r:.2f})" if r is not None else "")


def markdown(done):
    """All rows as one table, in brackets the ratio to the bare relays."""
    kinds = done["kinds"]
    names = [n for n in kinds if any(n in r for r in done["rows"].values())]
    out = ["| | " + " | ".join(names) + " |",
           "|---" * (len(names) + 1) + "|"]
    for row, results in done["rows"].items():
        for metric, unit in ROWS[row].metrics.items():
            cells = []
            for n in names:
                bare = None if kinds[n] == "bare" else results.get("bare")
                said = notes(results.get(n, []))
                cells.append(cell(results.get(n, []), metric, bare) +
                             (f", {said}" if said and
                              metric == next(iter(ROWS[row].metrics)) else ""))
            out.append(f"| {TITLES[row]}: {metric}, {unit} | " +
                       " | ".join(cells) + " |")
    aims = [f"| {c['row']} | {c['system']} | {c['metric']}"
            f"{'' if c['base'] == 'abs' else ' / ' + c['base']} | "
            f"{c['how']} {c['limit']} | {number(c['is'])} | {c['result']} |"
            for c in done["checks"]]
    return "\n".join([*out, "", "| row | system | figure | aim | is | |",
                      "|---|---|---|---|---|---|", *aims, ""])


def bars(metric, unit, results, kinds, top):
    """One bar for each system, with a line from least to most."""
    most = max([max(values(r, metric), default=0) for r in results.values()]
               or [0]) or 1
    out = [f'<text x="10" y="{top}" font-weight="bold">'
           f'{html.escape(unit)}</text>']
    for i, (name, rounds) in enumerate(results.items()):
        y = top + 10 + 20 * i
        found = values(rounds, metric)
        out.append(f'<text x="120" y="{y + 12}" text-anchor="end">'
                   f'{html.escape(name)}</text>')
        if not found:
            out.append(f'<text x="130" y="{y + 12}">-</text>')
            continue
        width, low, high = (440 * x / most for x in (
            statistics.median(found), min(found), max(found)))
        out.append(f'<rect x="130" y="{y}" width="{max(width, 1):.1f}" '
                   f'height="15" fill="{COLORS[kinds[name]]}"/>')
        out.append(f'<path d="M{130 + low:.1f} {y + 7.5}H{130 + high:.1f}" '
                   'stroke="black"/>')
        out.append(f'<text x="{136 + max(width, high):.1f}" y="{y + 12}">'
                   f'{number(statistics.median(found))}</text>')
    return out


def svg(row, results, kinds):
    metrics, out, top = ROWS[row].metrics, [], 50
    for metric, unit in metrics.items():
        out += bars(metric, unit, results, kinds, top)
        top += 40 + 20 * len(results)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{top}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="22" font-size="15">{html.escape(TITLES[row])}</text>',
        *out, "</svg>", ""])


def summary(done):
    """Medians and ratios beside the figures of each round."""
    found = {}
    for row, results in done["rows"].items():
        for name, rounds in results.items():
            figures = {}
            for m in sorted({k for r in rounds for k in r} - {"error"}):
                v = values(rounds, m)
                figures[m] = {"median": statistics.median(v), "min": min(v),
                              "max": max(v)}
                if "bare" in results:
                    figures[m]["ratio"] = ratio(rounds, results["bare"], m)
            found.setdefault(row, {})[name] = figures
    return found


def write(done, directory):
    os.makedirs(directory, exist_ok=True)
    done["checks"] = checks(done)
    with open(os.path.join(directory, "result.json"), "w") as f:
        json.dump({**done, "summary": summary(done)}, f, indent=1)
    with open(os.path.join(directory, "result.txt"), "w") as f:
        f.write(text(done) + "\n")
    with open(os.path.join(directory, "result.md"), "w") as f:
        f.write(markdown(done))
    for row, results in done["rows"].items():
        with open(os.path.join(directory, f"{row}.svg"), "w") as f:
            f.write(svg(row, results, done["kinds"]))

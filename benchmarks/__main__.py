"""``python -m benchmarks``: rows, peers, threads; a table, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, peers, table
from benchmarks.measure import Bench, Settings
from benchmarks.progress import Progress
from benchmarks.workloads import select


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="jitorch beside its peers")
    parser.add_argument("--only", default="", help="rows whose name starts so, comma-separated: W3,W4.mlp_b1")
    parser.add_argument("--peers", default="", help=f"comma-separated, of {', '.join(peers.PEERS)} (default: all)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="threads of every peer")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved samples of each peer (default 9)")
    parser.add_argument("--sample", type=float, default=4.0, help="shortest sample, in milliseconds (default 4)")
    parser.add_argument("--limit", type=float, default=300.0, help="longest time to build a row, in seconds")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 ms")
    parser.add_argument("--json", type=Path, help="results are put into this file; rows that it has are replaced")
    parser.add_argument("--list", action="store_true", help="name rows and peers, measure nothing")
    return parser.parse_args(argv)


def wanted_peers(names: str) -> list[str]:
    """Those asked for; raises SystemExit for an unknown one.  One that is not installed is left out by name."""
    wanted = [name for name in names.split(",") if name] or list(peers.PEERS)
    unknown = [name for name in wanted if name not in peers.PEERS]
    if unknown:
        raise SystemExit(f"unknown peers: {', '.join(unknown)}; there are {', '.join(peers.PEERS)}")
    for name in wanted:
        if peers.missing(name):
            print(f"left out: {name} ({', '.join(peers.missing(name))} not installed)", file=sys.stderr)
    return [name for name in wanted if not peers.missing(name)]


def load(path: Path | None, threads: int) -> dict[str, Any]:
    """What ``path`` holds already; raises SystemExit if that was measured with another number of threads."""
    if path is None or not path.exists():
        return {"threads": threads, "rows": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["threads"] != threads:
        raise SystemExit(f"{path} holds results for {found['threads']} threads; name another file")
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the rows; the results are written after each, so an interrupted run keeps what it has."""
    names = wanted_peers(options.peers)
    rows = select(options.only)
    if not rows:
        raise SystemExit(f"no row starts with {options.only}")
    found = load(options.json, options.threads)
    found["machine"] = machine.describe()
    progress = Progress(len(rows))
    settings = Settings(names, options.threads, options.rounds, options.sample / 1000, options.limit, progress.say)
    if options.quick:
        settings.rounds, settings.sample = 3, 0.002
    found["rounds"] = settings.rounds
    with progress, Bench(settings) as bench:
        for row in rows:
            found["rows"][row.name] = bench.row(row)
            found["versions"] = found.get("versions", {}) | machine.versions(bench.about)
            found["blas"] = machine.blas(bench.about) or found.get("blas", [])
            progress.advance()
            if options.json is not None:
                options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return {**found, "rows": {row.name: found["rows"][row.name] for row in rows}}


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 if some output of jitorch was wrong or missing."""
    options = arguments(argv)
    if options.list:
        print("\n".join([*(row.name for row in select(options.only)), "", *peers.PEERS]))
        return 0
    found = run(options)
    print(table.text(found["rows"]))
    ours = [result for results in found["rows"].values() for peer, result in results.items() if peer in peers.OURS]
    return int(any("mismatch" in result or "error" in result for result in ours))


if __name__ == "__main__":
    raise SystemExit(main())

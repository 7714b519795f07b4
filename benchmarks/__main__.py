"""``python -m benchmarks``: rows, peers, threads; a table, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import growth, instructions, machine, once, peers, report, sweep, sweep_report, table
from benchmarks.measure import Bench, Settings
from benchmarks.once import select_once
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
    parser.add_argument("--growth", action="store_true", help="how cost grows, and nothing else (JITORCH_CACHE=0)")
    parser.add_argument("--instructions", action="store_true", help="some rows with AVX2 and with SSE2 alone")
    parser.add_argument("--sweep", action="store_true", help="every op (--only OP,OP): compiled, eager, PyTorch")
    parser.add_argument("--dtypes", default="float32", help=f"of a sweep, comma-separated: {', '.join(sweep.DTYPES)}")
    parser.add_argument("--transposed", action="store_true", help="in a sweep matrices lie transposed in memory")
    parser.add_argument("--table", type=Path, help="after a sweep, write the table of times to this file")
    parser.add_argument("--report", action="store_true", help="measure nothing: write docs/performance.md from --json")
    parser.add_argument("--list", action="store_true", help="name rows and peers, measure nothing")
    return parser.parse_args(argv)


def wanted_peers(names: str) -> list[str]:
    """Those asked for; raises SystemExit for an unknown one.  One that is not installed is left out by name."""
    wanted = [name for name in names.split(",") if name] or list(peers.DEFAULT)
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


def settings_of(options: argparse.Namespace, names: list[str], progress: Progress) -> Settings:
    """What the command line asks for."""
    if options.quick:
        return Settings(names, options.threads, 3, 0.002, options.limit, progress.say)
    return Settings(names, options.threads, options.rounds, options.sample / 1000, options.limit, progress.say)


def save(found: dict[str, Any], path: Path | None) -> None:
    """Written as a whole, so that an interrupted run leaves a whole file."""
    if path is None:
        return
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the rows; the results are written after each, so an interrupted run keeps what it has."""
    names = wanted_peers(options.peers)
    rows, single = select(options.only), select_once(options.only)
    if not rows and not single:
        raise SystemExit(f"no row starts with {options.only}")
    found = load(options.json, options.threads)
    found["machine"] = machine.describe()
    progress = Progress(len(rows) + len(single))
    settings = settings_of(options, names, progress)
    found["rounds"] = settings.rounds
    with progress, Bench(settings) as bench:
        for row in rows:
            found["rows"][row.name] = bench.row(row)
            found["versions"] = found.get("versions", {}) | machine.versions(bench.about)
            found["blas"] = machine.blas(bench.about) or found.get("blas", [])
            found.setdefault("repeated", {})[row.name] = bench.repeated.get(row.name, 0)
            progress.advance()
            save(found, options.json)
    with progress:
        for entry in single:
            results = once.measure(entry, names, settings.threads, settings.limit, progress.say)
            found.setdefault("once", {})[entry.name] = results
            progress.advance()
            save(found, options.json)
    return {
        **found,
        "rows": {row.name: found["rows"][row.name] for row in rows},
        "once": {entry.name: found["once"][entry.name] for entry in single},
    }


def run_growth(options: argparse.Namespace) -> None:
    """Measure the series of `benchmarks.growth`; for jitorch and PyTorch unless peers are named."""
    names = wanted_peers(options.peers or "jitorch,torch")
    found = load(options.json, options.threads)
    # Compiled objects from an earlier run would hide what compiling costs.
    os.environ["JITORCH_CACHE"] = "0"
    progress = Progress(len(growth.SERIES))
    with progress, Bench(settings_of(options, names, progress)) as bench:
        found["growth"] = growth.measure(bench, options.quick)
    save(found, options.json)
    print(growth.text(found["growth"]))


def run_instructions(options: argparse.Namespace) -> None:
    """Measure the rows of `benchmarks.instructions` that ``--only`` names, or all."""
    found = load(options.json, options.threads)
    # How busy the machine was is told of the table's run, if there was one.
    found.setdefault("machine", machine.describe())
    names = wanted_peers(options.peers or ",".join(instructions.PEERS))
    rows = instructions.rows(options.only)
    progress = Progress(len(rows))
    with progress, Bench(settings_of(options, names, progress)) as bench:
        for row in rows:
            found.setdefault("instructions", {})[row.name] = bench.row(row)
            progress.advance()
            save(found, options.json)
    print(instructions.text(found["instructions"]))


def run_sweep(options: argparse.Namespace) -> None:
    """Measure ops; what ``--json`` holds already is not measured again, so that a sweep can be made in parts."""
    names = wanted_peers(options.peers or ",".join(sweep_report.PEERS))
    found = load(options.json, options.threads)
    rows = found.setdefault("sweep", {})
    wanted = sweep.points(options.only, options.dtypes.split(","), options.transposed)
    found["machine"] = machine.describe()
    progress = Progress(sum(point.name not in rows for point in wanted))
    settings = replace(settings_of(options, names, progress), reference=sweep_report.OP_BY_OP)

    def done() -> None:
        progress.advance()
        save(found, options.json)

    with progress, Bench(settings) as bench:
        sweep.measure(bench, wanted, rows, done)
    print(sweep_report.text(rows))
    if options.table is not None:
        measured = f"{found['machine']['processor']}, {options.threads} threads, {date.today().isoformat()}"
        options.table.write_text(sweep_report.table(rows, measured), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 if some output of jitorch was wrong or missing."""
    options = arguments(argv)
    # Ended from outside, the peers' processes must end too: they may be stopped, and would stay so.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.list:
        names = [row.name for row in [*select(options.only), *select_once(options.only)]]
        print("\n".join([*names, "", *peers.PEERS]))
        return 0
    if options.report:
        if options.json is None or not options.json.exists():
            raise SystemExit("--report needs --json FILE with results")
        for path in report.write(json.loads(options.json.read_text(encoding="utf-8"))):
            print(path)
        return 0
    if options.sweep:
        run_sweep(options)
        return 0
    if options.instructions:
        run_instructions(options)
        return 0
    if options.growth:
        run_growth(options)
        return 0
    found = run(options)
    if found["rows"]:
        print(table.text(found["rows"]))
    if found["once"]:
        print(table.aligned(*report.once_cells(found["once"])))
    ours = [result for results in found["rows"].values() for peer, result in results.items() if peer in peers.OURS]
    return int(any("mismatch" in result or "error" in result for result in ours))


if __name__ == "__main__":
    raise SystemExit(main())

"""What `Jitted.explain` says of one trace."""

from __future__ import annotations

from typing import Any

from jitorch.backends.cpu import times
from jitorch.backends.cpu.times import in_time

PROFILED = 16
"""Kernels that `explain` lists with their times."""


def explain_entry(number: int, entry: Any) -> list[str]:
    """Lines on trace ``number`` of a compiled function, a `jitted.Entry`."""
    staged = entry.traced.staged
    lines = [f"trace {number}: {entry.cause}"]
    if staged.refused is not None:
        return [*lines, f"  runs eagerly: {staged.refused}"]
    function = entry.function
    cost = f"{staged.seconds * 1e3:.1f} ms"
    origin = f"{cost} to trace" if entry.traced.whole is None else f"from the disk: {cost} to read"
    lines.append(f"  {entry.calls} calls, {entry.traced.size} nodes, {len(staged.guards)} guards, {origin}")
    if not entry.computes:
        lines.append("  nothing is computed: results are arguments, or views of them")
    lines += [f"  {line}" for line in _choice(entry)]
    if entry.note:
        lines.append(f"  not kept on the disk: {entry.note}")
    lines += [f"  {note}" for note in dict.fromkeys(map(str, entry.traced.notes))]
    if entry.loan is not None and entry.loan.copied:
        lines.append(f"  {entry.loan.copied} donated arguments were copied, since something else sees their memory")
    for compiled in function.compiled if function is not None else ():
        origin = "from the cache" if compiled.cached else "compiled"
        cost = f"{origin} in {compiled.seconds * 1e3:.1f} ms"
        if compiled.memory is not None:
            scratch, results = compiled.memory
            cost += f"; peak memory {in_bytes(scratch + results)}: {in_bytes(results)} of results"
        if compiled.prepared:
            cost += f"; {in_bytes(sum(array.nbytes for array in compiled.prepared))} made of constants, once"
        lines.append(f"  program {compiled.graph.name} ({cost}):")
        for step in compiled.steps:
            lines.append(f"    {step.artifact.backend}: {_step_text(step)}")
            lines += _profile(step.executable or compiled.executable)
        for name, reason in compiled.reasons.items():
            lines.append(f"    {name}: not run by the backend asked for: {reason}")
    return lines


def _profile(executable: Any) -> list[str]:
    """The kernels that took longest, if the program times them (`JITORCH_PROFILE`)."""
    timings = executable.profile() if hasattr(executable, "profile") else []
    total = sum(t.seconds for t in timings)
    ran = sorted((t for t in timings if t.runs), key=lambda t: -t.seconds)
    lines = [f"      {t.seconds / total:6.1%} {t.seconds / t.runs * 1e6:10.1f} us  {t.name}" for t in ran[:PROFILED]]
    if len(ran) > PROFILED:
        rest = sum(t.seconds for t in ran[PROFILED:])
        lines.append(f"      {rest / total:6.1%} in {len(ran) - PROFILED} more")
    return lines


def _choice(entry: Any) -> list[str]:
    """Whether the trace runs compiled or op by op, because of which times, and where those come from."""
    choice = entry.choice
    if choice is not None:
        ways = [f"compiled: {in_time(choice.compiled)}", f"op by op: {in_time(choice.op_by_op)}"]
        first, second = ways if choice.is_compiled else reversed(ways)
        return [f"runs {first}; {second} ({choice.origin})"]
    if entry.function is None or any(s.artifact.backend != "cpu" for c in entry.function.compiled for s in c.steps):
        return []
    found = times.Estimate().add(entry.traced.graph)
    if found.unknown:
        return [f"runs compiled; the table of times does not have {', '.join(sorted(found.unknown))} of such sizes"]
    known = f"compiled: at most {in_time(found.compiled)}; op by op: {in_time(found.op_by_op)}"
    return [f"runs {known} (table of {times.table().origin})"] if found.op_by_op else []


def in_bytes(count: int) -> str:
    """A number of bytes, in the unit that fits."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.4g} {unit}"


def _step_text(step: Any) -> str:
    if step.region is None:
        kernels = step.artifact.manifest.get("kernels")
        return "the whole graph" + (f" as {kernels} kernels in one native function" if kernels is not None else "")
    names: dict[str, int] = {}
    for node in step.region.nodes:
        names[node.op.name] = names.get(node.op.name, 0) + 1
    return ", ".join(f"{n} x{c}" if c > 1 else n for n, c in names.items())

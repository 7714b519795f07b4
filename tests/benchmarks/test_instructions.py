from benchmarks import instructions, report
from benchmarks.judgement import judge
from benchmarks.peers import DEFAULT, ENVIRONMENTS, PEERS
from benchmarks.targets import target
from tests.benchmarks.results import FOUND, timed

MEASURED = {
    "W3.matmul_512": {
        "jitorch": timed(1e-3), "torch": timed(2e-3), "jitorch-avx2": timed(2e-3), "torch-avx2": timed(1e-3),
        "jitorch-sse2": {"mismatch": "output 0 is off"}, "torch-sse2": timed(1e-3),
    },
}  # fmt: skip


def test_every_beginning_names_a_row():
    names = [row.name for row in instructions.rows()]
    assert all(any(name.startswith(beginning) for name in names) for beginning in instructions.ROWS)
    assert [row.name for row in instructions.rows("W3.matmul_512,W1.pointwise_1e3")] == ["W3.matmul_512"]


def test_each_has_a_pair():
    heading, (line,) = instructions.cells(MEASURED)
    assert len(heading) == len(line)
    assert line == ["W3.matmul_512", "1 ms", "2.00", "2 ms", "0.50", "-", "-"]
    assert "W3.matmul_512, jitorch-sse2: output 0 is off" in instructions.text(MEASURED)


def test_the_page_has_them():
    assert "## Instruction sets" not in report.text(FOUND)
    assert "| W3.matmul_512 | 1 ms | 2.00 | 2 ms | 0.50 | - | - |" in report.text({**FOUND, "instructions": MEASURED})


def test_peers_with_fewer_instructions_are_no_peers_of_the_table():
    assert ENVIRONMENTS.keys() <= PEERS.keys() - set(DEFAULT)
    row = "W3.matmul_512"
    assert judge({"jitorch": timed(1.0), "torch-sse2": timed(0.5)}, "jitorch", target(row)).ratio is None

import json

import pytest

from benchmarks.__main__ import arguments, load, main, wanted_peers


def test_list(capsys):
    assert main(["--list", "--only", "W4"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ["W4.mlp_b1", "W4.mlp_b8", "W4.mlp_b64"]


def test_unknown_names_are_refused():
    with pytest.raises(SystemExit, match="unknown peers: nobody"):
        wanted_peers("jitorch,nobody")
    with pytest.raises(SystemExit, match="no row starts with W99"):
        main(["--only", "W99", "--peers", "numpy"])


def test_results_are_written_and_rows_replaced(tmp_path, capsys):
    path = tmp_path / "found.json"
    command = ["--only", "W9.add_10", "--peers", "numpy", "--quick", "--threads", "1", "--json", str(path)]
    assert main(command) == 0
    found = json.loads(path.read_text())
    assert list(found["rows"]) == ["W9.add_10_eager"]
    assert found["versions"]["numpy"]
    assert "W9.add_10_eager" in capsys.readouterr().out
    command[1] = "W9.add_16_eager"
    main(command)
    assert "W9.add_10_eager" in json.loads(path.read_text())["rows"]


def test_other_measurements_leave_what_is_said_of_the_machine(tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"threads": 1, "rows": {}, "machine": {"load": 0.25}}')
    command = ["--instructions", "--only", "W3.matmul_128", "--peers", "jitorch", "--quick", "--threads", "1"]
    assert main([*command, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["machine"] == {"load": 0.25}
    assert "W3.matmul_128" in found["instructions"]


def test_results_of_other_threads_are_not_mixed(tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"threads": 2, "rows": {}}')
    assert load(path, 2)["rows"] == {}
    with pytest.raises(SystemExit, match="2 threads"):
        load(path, 1)


def test_report_needs_results():
    with pytest.raises(SystemExit, match="--json"):
        main(["--report"])


def test_quick():
    assert arguments(["--quick"]).quick and not arguments([]).quick

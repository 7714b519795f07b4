"""``python -m jitorch``."""

from __future__ import annotations

import pytest

import jitorch
from jitorch import __main__ as program
from jitorch import config


def test_info_names_versions_cache_and_backends(tmp_path, capsys):
    with config.override(cache_dir=tmp_path, cache=True, num_threads=3):
        assert program.main(["info"]) == 0
    text = capsys.readouterr().out
    for name in ("python", "numpy", "llvmlite", "lark", "ml_dtypes"):
        assert f"\n  {name} " in text
    assert str(tmp_path) in text and "0.0 of" in text
    for backend in jitorch.list_backends():
        assert f"\n  {backend} " in text


def test_info_without_a_cache():
    with config.override(cache=False, num_threads=3):
        machine = program.information()["machine"]
    assert machine["cache"] == "off"
    assert machine["threads"] == "3"


def test_columns():
    assert program.render({"a": {"x": "1", "long": "2"}, "b": {}}) == "a\n  x     1\n  long  2\n\nb"


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit):
        program.main([])
    assert "command" in capsys.readouterr().err

"""What holds for the project as a whole: dependencies, imports, files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jitorch"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEXT_SUFFIXES = {".c", ".cfg", ".h", ".json", ".lark", ".md", ".py", ".pyi", ".toml", ".txt", ".yaml", ".yml"}
FOLDERS = ("jitorch", "plugins", "tests", "docs", "examples", "benchmarks", "tools")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text_files() -> list[Path]:
    files = [p for p in ROOT.iterdir() if p.is_file()]
    for folder in FOLDERS:
        files += [p for p in (ROOT / folder).rglob("*") if p.is_file()]
    named = ("Makefile", "LICENSE", "run")
    made = {"build", "dist", "__pycache__"}
    return sorted(
        p
        for p in [*files, ROOT / ".ci" / "run"]
        if (p.suffix in TEXT_SUFFIXES or p.name in named) and not made & set(p.relative_to(ROOT).parts)
    )


def test_runtime_dependencies_are_exactly_four():
    names = {re.match(r"[\w-]+", d)[0] for d in project()["dependencies"]}  # type: ignore[index]
    assert names == {"numpy", "llvmlite", "lark", "ml_dtypes"}


def test_our_backends_are_registered_like_any_other():
    assert set(project()["entry-points"]["jitorch.backends"]) == {"reference", "cpu", "cuda"}


def test_import_is_quick_and_loads_no_compiler(tmp_path):
    # numpy and ml_dtypes are imported first: their time is not ours.
    code = """
import json, sys, time
import numpy, ml_dtypes
start = time.perf_counter()
import jitorch
print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))
"""
    # As after an installation: with bytecode, which the first run writes.
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    command = [sys.executable, "-c", code]
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    heavy = {"llvmlite", "lark", "torch", "onnx", "onnxruntime", "scipy", "sklearn", "cupy", "ctypes.util"}
    assert not heavy & set(modules)
    assert seconds < 1.0


def test_only_config_reads_the_environment():
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if re.search(
            r"\bos\.(environ|getenv)\b|from os import .*\b(environ|getenv)\b", path.read_text(encoding="utf-8")
        )
    ]
    assert [r for r in readers if r != "jitorch/config.py"] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{path.name} has no docstring"


def test_every_folder_of_the_package_is_in_the_wheel():
    # A folder without __init__.py is not found by the build, nor is the grammar beside its modules.
    folders = {p.parent for p in PACKAGE.rglob("*") if p.suffix in (".py", ".lark")}
    assert [f for f in folders if not (f / "__init__.py").is_file()] == []
    assert (PACKAGE / "py.typed").is_file()


def test_no_file_mentions_a_path_of_one_machine():
    machine_path = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work|mnt)/\w")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if machine_path.search(line)
    ]
    assert found == []


def test_the_files_searched_are_there():
    names = {p.relative_to(ROOT).as_posix() for p in text_files()}
    assert {"README.md", "Makefile", ".ci/run", "pyproject.toml", "jitorch/errors.py", "docs/errors.md"} <= names

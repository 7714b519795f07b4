"""The plugin route from end to end: wheels are built and installed into a fresh environment, and taken out again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.backends.plugins import GOOD, install

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = {"jitorch": ".", "jitorch_c": "plugins/jitorch-c", "jitorch_onnx": "plugins/jitorch-onnx"}


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each project by its name, built from a copy of the sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    made = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    for folder in ("jitorch", "plugins"):
        shutil.copytree(ROOT / folder, source / folder, ignore=made)
    for file in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / file, source)
    for folder in PROJECTS.values():
        pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source / folder))
    return {path.name.split("-")[0]: path for path in target.glob("*.whl")}


class Environment:
    """A virtual environment that holds our wheels and sees the other packages of this one."""

    def __init__(self, folder: Path, wheels: dict[str, Path]):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        self.python = folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        (self._site() / "dependencies.pth").write_text(str(self._dependencies()))
        self.pip("install", "--no-deps", "--no-index", *map(str, wheels.values()))

    def _site(self) -> Path:
        return next((self.folder / "env").rglob("site-packages"))

    def _dependencies(self) -> Path:
        """This environment's packages without ours, which may be installed here in another way."""
        folder = self.folder / "dependencies"
        folder.mkdir()
        for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for entry in Path(place).iterdir():
                if not re.match(r"jitorch|__editable__|.*\.pth$", entry.name):
                    (folder / entry.name).symlink_to(entry)
        return folder

    def pip(self, *arguments: str) -> None:
        pip("--python", str(self.python), *arguments)

    def run(self, code: str, *path: Path) -> str:
        """What ``code`` prints; ``path`` are more places with packages."""
        file = self.folder / "program.py"
        file.write_text(code, encoding="utf-8")
        unset = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        environment = {
            **unset, "PYTHONPATH": os.pathsep.join(map(str, path)), "JITORCH_CACHE_DIR": str(self.folder / "cache"),
        }  # fmt: skip
        done = subprocess.run(
            [str(self.python), str(file)], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def environment(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installed"), wheels)


def test_wheels_are_pure_python_and_complete(wheels: dict[str, Path]) -> None:
    assert set(wheels) == set(PROJECTS)
    for name, wheel in wheels.items():
        assert wheel.name.endswith("-py3-none-any.whl")
        files = set(zipfile.ZipFile(wheel).namelist())
        folder = ROOT / PROJECTS[name]
        wanted = {
            path.relative_to(folder).as_posix()
            for path in (folder / name).rglob("*")
            if path.suffix in (".py", ".lark") or path.name == "py.typed"
        }
        assert wanted <= files
        assert not [file for file in files if "tests/" in file]


def test_what_is_imported_is_what_was_installed(environment: Environment) -> None:
    where = environment.run("import jitorch, jitorch_c, jitorch_onnx\nprint(jitorch.__file__)")
    assert str(environment.folder) in where


LISTED = "import jitorch\nfor name, answer in jitorch.list_backends().items(): print(name, answer)"


def test_the_c_backend_is_listed_and_runs(environment: Environment) -> None:
    listed = environment.run(LISTED).splitlines()
    assert [line.split()[0] for line in listed] == ["reference", "cpu", "cuda", "c"]
    assert listed[-1].startswith("c available (")
    code = """
import jitorch

@jitorch.jit(backend="c", fullgraph=True)
def function(x):
    return (x * 2).exp().sum()

print(function(jitorch.zeros(3)).item())
print(function.explain())
"""
    printed = environment.run(code)
    assert printed.startswith("3.0\n")
    assert "c: the whole graph as 1 kernels" in printed


def test_the_exporter_is_found(environment: Environment) -> None:
    code = """
import jitorch
from jitorch import plugins
from jitorch_onnx import export
assert plugins.exporter("onnx") is export
jitorch.onnx.export(jitorch.nn.Linear(3, 2), (jitorch.zeros(1, 3),), "linear.onnx")
"""
    environment.run(code)
    assert (environment.folder / "linear.onnx").stat().st_size > 0


def test_the_example_of_the_readme_runs(environment: Environment) -> None:
    code = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert code is not None
    assert environment.run(code[1]).strip()


def test_the_20_op_example_runs(environment: Environment) -> None:
    printed = environment.run((ROOT / "examples" / "backend_20_ops.py").read_text())
    assert "twenty: reshape_to" in printed
    assert "cpu: convolution" in printed


OPS = """
import jitorch
from jitorch.ops import Sample, op

@op
def cubed(x: jitorch.Tensor):
    \"\"\"The third power.\"\"\"
    return x * x * x
"""


def test_an_op_of_a_package_works_under_jit(environment: Environment, tmp_path: Path) -> None:
    install(tmp_path, "cubes", {"cubed": "cubed"}, OPS, "jitorch.ops")
    code = """
import jitorch

@jitorch.jit(fullgraph=True)
def function(x):
    return jitorch.cubed(x) + x.cubed()

x = jitorch.tensor([1.0, 2.0], requires_grad=True)
function(x).sum().backward()
print(function(x).tolist(), x.grad.tolist(), function.statistics.eager)
"""
    assert environment.run(code, tmp_path) == "[2.0, 16.0] [6.0, 24.0] 0\n"


def test_bad_packages_harm_nobody(environment: Environment, tmp_path: Path) -> None:
    install(tmp_path, "broken-backend", {"broken": "backend"}, "import nothing_of_that_name")
    for package in ("one-backend", "two-backend"):
        install(tmp_path, package, {"same": "backend"}, GOOD.format(name="same"))
    install(tmp_path, "broken-op", {"broken_op": "broken_op"}, "raise OSError('no licence')", "jitorch.ops")
    listed = dict(line.split(" ", 1) for line in environment.run(LISTED, tmp_path).splitlines())
    assert listed["c"].startswith("available")
    assert listed["cpu"].startswith("available")
    assert "of package 'broken-backend', could not be loaded: ModuleNotFoundError" in listed["broken"]
    assert "two packages provide 'same'" in listed["same"]
    assert "one-backend" in listed["same"] and "two-backend" in listed["same"]
    code = """
import jitorch
from jitorch.errors import PluginError

for backend in ("broken", "same"):
    try:
        jitorch.jit(lambda x: x + 1, backend=backend, fullgraph=True)(jitorch.zeros(2))
    except PluginError as error:
        print(error.what)
try:
    jitorch.broken_op
except PluginError as error:
    print(error.what)
print(jitorch.jit(lambda x: x.exp() + 1, backend="c", fullgraph=True)(jitorch.zeros(2)).tolist())
"""
    assert environment.run(code, tmp_path).splitlines() == [
        "'broken' in jitorch.backends, of package 'broken-backend', could not be loaded",
        "two packages provide 'same' in jitorch.backends",
        "'broken_op' in jitorch.ops, of package 'broken-op', could not be loaded",
        "[2.0, 2.0]",
    ]


def test_an_uninstalled_backend_is_gone(wheels: dict[str, Path], tmp_path: Path) -> None:
    environment = Environment(tmp_path, wheels)
    assert "\nc available" in environment.run(LISTED)
    environment.pip("uninstall", "--yes", "jitorch-c")
    assert [line.split()[0] for line in environment.run(LISTED).splitlines()] == ["reference", "cpu", "cuda"]
    code = """
import jitorch
from jitorch.errors import BackendError
try:
    jitorch.jit(lambda x: x + 1, backend="c", fullgraph=True)(jitorch.zeros(2))
except BackendError as error:
    print(error.what)
"""
    assert environment.run(code) == "unknown backend 'c'\n"

"""Saved models: what is read back computes the same, in this process and in one without the source."""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.numpy

import jitorch as torch
from jitorch import dtypes, nn
from jitorch.errors import ArgumentError, CompileError, SavedModelError
from jitorch.saved import container
from tests.frontend.script.check import same
from tests.saved import models

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "saved"
ROOT = Path(__file__).resolve().parents[2]
X = torch.arange(8.0).reshape(2, 4) / 8


def scripted_model():
    return torch.jit.script(models.make_model())


def round_trip(scripted):
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def test_functions_come_back():
    scripted = torch.jit.script(models.everything)
    loaded = round_trip(scripted)
    assert loaded.schema == scripted.schema
    assert str(loaded.graph) == str(scripted.graph)
    for args in ((X,), (X, 6), (-X, 1)):
        same(loaded(*args), models.everything(*args))
        same(loaded(*args), scripted(*args))
    with pytest.raises(AssertionError, match="no steps"):
        loaded(X, 0)


def test_modules_come_back():
    model = models.make_model()
    loaded = round_trip(torch.jit.script(model))
    reference = copy.deepcopy(model)
    for times in (1, 2, 2):
        same(loaded(X, times), reference(X, times))
    assert loaded.count() == 3
    assert list(loaded.state_dict()) == list(model.state_dict())
    assert not loaded.training and not loaded.head.training
    assert loaded.shared is loaded.blocks[0]
    assert loaded.kind.name == "MEAN" and loaded.labels == {"a": 1, "b": 2}
    assert isinstance(loaded.blocks[0].linear, nn.Linear)
    assert isinstance(loaded.blocks[0].linear.weight, nn.Parameter)


def test_loaded_modules_train():
    loaded = round_trip(scripted_model()).train()
    torch.manual_seed(1)
    before = loaded.head[0].weight.detach().clone()
    optimizer = torch.optim.SGD(loaded.parameters(), lr=0.5)
    loaded(X).sum().backward()
    optimizer.step()
    assert not torch.equal(before, loaded.head[0].weight)


def test_what_was_loaded_is_saved_again():
    loaded = round_trip(round_trip(scripted_model()))
    same(loaded(X), models.make_model()(X))
    again = round_trip(round_trip(torch.jit.script(models.everything)))
    same(again(X), models.everything(X))


def test_saving_twice_gives_the_same_bytes():
    first, second = io.BytesIO(), io.BytesIO()
    torch.jit.save(scripted_model(), first)
    torch.jit.save(scripted_model(), second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("dynamic", [False, True])
def test_traced_functions_come_back(dynamic):
    made = torch.jit(models.traced)
    made(torch.ones(4, 3))
    if dynamic:
        made(torch.ones(5, 3))
    loaded = round_trip(made)
    x = torch.arange(12.0).reshape(4, 3)
    same(loaded(x), models.traced(x))
    if dynamic:
        same(loaded(x[:2].clone()), models.traced(x[:2].clone()))
    else:
        with pytest.raises(ArgumentError, match="not as it was traced"):
            loaded(x[:2].clone())


def steps_down(x, *, factor: float = 2.0):
    steps = 0
    while x.abs().max() > 1:
        x = x / factor
        steps += 1
    return {"x": x, "steps": steps, "how": ("halved", None, 2.5)}


def test_traced_control_flow_and_fixed_arguments_come_back():
    x = torch.tensor([5.0, 1.0])
    traced = torch.jit.trace(steps_down, x, example_kwarg_inputs={"factor": 2.0})
    loaded = round_trip(traced)
    for given in (x, x * 100):
        found, expected = loaded(given, factor=2.0), steps_down(given)
        same(found["x"], expected["x"])
        assert (found["steps"], found["how"]) == (expected["steps"], expected["how"])
    with pytest.raises(ArgumentError, match="not as they were traced"):
        loaded(x, factor=3.0)
    jitted = torch.jit(steps_down)
    jitted(x)
    assert round_trip(jitted)(x * 9)["steps"] == steps_down(x * 9)["steps"]


def test_limits_of_sizes_come_back():
    loaded = round_trip(torch.jit.trace(lambda x: x[:3] * x.shape[0], torch.ones(4)))
    assert loaded(torch.ones(7)).tolist() == [7.0] * 3
    with pytest.raises(ArgumentError, match="does not hold for these sizes"):
        loaded(torch.ones(2))


class Traced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))

    def forward(self, x):
        return self.layers(x)

    def halve(self, x):
        while x.abs().max() > 1:
            x = x * self.layers[0].weight.abs().max().clamp(max=0.5)
        return x


def test_traced_modules_come_back():
    torch.manual_seed(0)
    model = Traced()
    x = torch.randn(6, 3)
    loaded = round_trip(torch.jit.trace_module(model, {"forward": x, "halve": x}))
    assert list(loaded.state_dict()) == list(model.state_dict())
    assert loaded.training and isinstance(loaded.get_parameter("layers.0.weight"), nn.Parameter)
    # Random numbers are drawn from the generator of this process, and statistics go to the module's own buffers.
    torch.manual_seed(1)
    found = loaded(x)
    torch.manual_seed(1)
    same(found, model(x))
    same(loaded.get_buffer("layers.1.running_mean"), model.layers[1].running_mean)
    same(loaded.halve(x * 9), model.halve(x * 9))
    again = round_trip(loaded)
    same(again.halve(x * 9), model.halve(x * 9))


class Wrapped(NamedTuple):
    first: torch.Tensor


def test_what_no_file_holds_of_a_trace():
    traced = torch.jit.trace(lambda x: Wrapped(x + 1), torch.ones(2))
    with pytest.raises(CompileError, match="the trace holds"):
        torch.jit.save(traced, io.BytesIO())
    part = torch.jit.trace(nn.Sequential(nn.ReLU()), torch.ones(2)).get_submodule("0")
    with pytest.raises(CompileError, match="a TracedModule cannot be saved"):
        torch.jit.save(part, io.BytesIO())


def test_weights_are_a_safetensors_file(tmp_path):
    scripted = scripted_model()
    torch.jit.save(scripted, tmp_path / "model")
    _, sections = container.unpack((tmp_path / "model").read_bytes())
    arrays = safetensors.numpy.load(bytes(sections["weights"]))
    for name, tensor in scripted.state_dict().items():
        key = name if name in arrays else name.replace("shared.", "blocks.0.")
        np.testing.assert_array_equal(arrays[key], tensor.numpy())


def test_every_dtype_is_kept():
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for dtype in dtypes.ALL:
                self.register_buffer(f"b_{dtype.name}", torch.ones(2, 1).to(dtype))

        def forward(self, x):
            return x

    holder = Holder()
    loaded = round_trip(torch.jit.script(holder))
    assert len(list(holder.buffers())) > 10
    for name, buffer in holder.named_buffers():
        found = getattr(loaded, name)
        assert found.dtype is buffer.dtype and found.shape == buffer.shape
        assert found.numpy().tobytes() == buffer.numpy().tobytes()


FRESH = """
import sys
import numpy as np
import jitorch as torch
loaded = torch.jit.load(sys.argv[1])
x = torch.arange(8.0).reshape(2, 4) / 8
np.save(sys.argv[2], loaded(x).detach().numpy())
assert not any(name.startswith("tests") for name in sys.modules)
"""


def test_a_fresh_process_without_the_source_runs_it(tmp_path):
    torch.jit.save(scripted_model(), tmp_path / "model")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FRESH, str(tmp_path / "model"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, timeout=100)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), models.make_model()(X).detach().numpy(), rtol=1e-6)


def test_writes_are_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "model"
    torch.jit.save(scripted_model(), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        torch.jit.save(torch.jit.script(models.everything), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_extra_files():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(models.helper), buffer, _extra_files={"notes": "hello"})
    buffer.seek(0)
    wanted = {"notes": "", "other": "as it was"}
    torch.jit.load(buffer, _extra_files=wanted)
    assert wanted == {"notes": "hello", "other": "as it was"}


@pytest.mark.parametrize("name", ["function", "module", "traced"])
def test_golden_files_of_format_1_load(name, request):
    path = GOLDEN / f"{name}.1.jit"
    if request.config.getoption("--update-golden"):
        made = {"function": lambda: torch.jit.script(models.everything), "module": scripted_model, "traced": trace}[
            name
        ]()
        path.parent.mkdir(exist_ok=True)
        torch.jit.save(made, path)
    loaded = torch.jit.load(path)
    if name == "function":
        same(loaded(X), models.everything(X))
    elif name == "traced":
        same(loaded(torch.ones(4, 3)), models.traced(torch.ones(4, 3)))
    else:
        # The numbers of the file, not those of today's initialisation.
        model = models.make_model()
        model.load_state_dict(loaded.state_dict())
        same(loaded(X), model(X))


def trace():
    return torch.jit.trace(models.traced, (torch.ones(4, 3),))


def test_what_is_not_scripted_is_refused(tmp_path):
    with pytest.raises(CompileError, match="a Model cannot be saved") as caught:
        torch.jit.save(models.make_model(), tmp_path / "x")
    assert caught.value.code == "not-saveable"


def test_attributes_that_no_file_holds_are_refused(tmp_path):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 1)
            self.linear.note = object()

        def forward(self, x):
            return self.linear(x)

    with pytest.raises(CompileError, match="the attribute note of Linear holds a object"):
        torch.jit.save(torch.jit.script(Odd()), tmp_path / "x")


def manifest_of(data: bytes) -> dict:
    length = int.from_bytes(data[8:16], "little")
    return json.loads(data[48 : 48 + length])


def test_another_version_is_refused():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(models.helper), buffer)
    manifest, sections = container.unpack(buffer.getvalue())
    manifest.pop("sections")
    data = container.pack({**manifest, "format": 2}, {k: bytes(v) for k, v in sections.items()})
    with pytest.raises(SavedModelError, match="another version of the format"):
        torch.jit.load(io.BytesIO(data))


def test_a_damaged_file_is_refused_by_its_digests():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(models.helper), buffer)
    data = buffer.getvalue()
    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises(SavedModelError):
            torch.jit.load(io.BytesIO(bytes(changed)))
    for length in range(0, len(data), 13):
        with pytest.raises(SavedModelError):
            torch.jit.load(io.BytesIO(data[:length]))

"""Methods whose names are taken are saved under others, and are found under these by all that calls them."""

from __future__ import annotations

import io

import pytest

import jitorch as torch
from jitorch import nn
from jitorch.errors import CompileError


class Shaped(nn.Module):
    def _shape(self, x, n: int) -> torch.Tensor:
        return x.reshape(n, -1) if n > 0 else self._shape(x, 1)

    def forward(self, x):
        return self._shape(x, 2).sum(dim=1) + self._shape(x, 0)[0, 0]


class Exported(nn.Module):
    @torch.jit.export
    def _shape(self, x):
        return x

    def forward(self, x):
        return self._shape(x)


class Stored(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._array = 2

    def forward(self, x):
        return x * self._array


def saved(module: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def test_a_method_gets_another_name():
    x = torch.arange(6.0)
    loaded = saved(Shaped())
    assert torch.equal(loaded(x), Shaped()(x))
    assert "def method_shape(" in loaded.program_code and "self.method_shape(x, 2)" in loaded.program_code


def test_the_script_itself_keeps_its_names():
    scripted = torch.jit.script(Shaped())
    torch.jit.save(scripted, io.BytesIO())
    assert "self._shape(x, 2)" in scripted.code
    assert torch.equal(scripted(torch.ones(4)), Shaped()(torch.ones(4)))


@pytest.mark.parametrize(("module", "name"), [(Exported, "_shape"), (Stored, "_array")])
def test_names_that_are_seen_from_outside_are_refused(module, name):
    with pytest.raises(CompileError, match=f"no file may hold a member called {name}") as caught:
        saved(module())
    assert caught.value.code == "not-saveable"

"""Scripted modules: what they hold, how they are called, and what stays shared with the module they came from."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Dict, List, Optional, Tuple

import pytest

import jitorch as torch
import jitorch.nn.functional as F
from jitorch import nn
from jitorch.errors import CompileError, UnsupportedError
from tests.frontend.script.check import same

X = torch.arange(6.0).reshape(2, 3) / 6


class Inner(nn.Module):
    def __init__(self, size: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, size))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        if self.bias is not None:
            y = y + self.bias
        return y


class Everything(nn.Module):
    __constants__ = ["times"]
    limit: torch.jit.Final[int]
    state: Optional[torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.times, self.limit = 2, 5
        self.inner = nn.ModuleDict({"a": Inner(3), "b": Inner(3, False)})
        self.steps = nn.ModuleList([Inner(3), nn.ReLU(), nn.Linear(3, 3)])
        self.sequence = nn.Sequential(Inner(3), nn.Tanh())
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(3) * (i + 1)) for i in range(4)])
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("nothing", None)
        self.state = None
        self.history: List[float] = []
        self.table: Dict[str, int] = {"x": 1}
        self.sizes = (2, 3)
        self.activation = F.relu
        self.missing = None
        self.flag = True

    @property
    def width(self) -> int:
        return self.sizes[1]

    @staticmethod
    def scale(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        return x * by

    def helper(self, x, n: int):
        return self.activation(x) * n

    def forward(self, x, skip: bool = False) -> Tuple[torch.Tensor, int]:
        for name, module in self.inner.items():
            x = module(x)
            self.table[name] = len(name)
        for i, step in enumerate(self.steps):
            x = step(x) + i
        for _ in range(self.times):
            x = self.sequence(x)
        for step, weight in zip(self.steps, self.weights):
            x = step(x) * weight
        for weight in self.weights:
            x = x + weight
        if self.nothing is not None:
            x = x * self.nothing
        if self.missing is not None:
            x = self.missing(x)
        if hasattr(self, "no_such_name"):
            x = self.no_such_name(x)
        self.mean = self.mean * 0.5 + x.detach().mean(dim=0) * 0.5
        if self.state is None:
            self.state = x.detach()
        state = self.state
        if state is not None and not skip:
            x = x + state
        self.history.append(1.5)
        total = [step(x).sum() for step in self.steps]
        x = self.scale(self.helper(x, self.limit)) + total[0] + self.steps[1](x) + self.inner["a"].weight.sum()
        if self.training and self.flag:
            x = x * 2
        return x, self.width + len(self.history) + len(self.steps) + self.table["x"]


def pair():
    torch.manual_seed(0)
    module = Everything()
    return module, torch.jit.script(copy.deepcopy(module))


def test_forward_equals_the_modules():
    module, scripted = pair()
    for call in ((X,), (X, True), (X[:1].clone(),), (X,)):
        module.state = scripted.state = None
        same(scripted(*call), module(*call))
    module.eval(), scripted.eval()
    module.flag = scripted.flag = False
    same(scripted(X), module(X))
    same(scripted.mean, module.mean)
    assert scripted.table == module.table and scripted.history == module.history


def test_it_is_a_module():
    module, scripted = pair()
    assert isinstance(scripted, nn.Module) and isinstance(scripted, torch.jit.ScriptModule)
    assert list(scripted.state_dict()) == list(module.state_dict())
    assert [n for n, _ in scripted.named_modules()] == [n for n, _ in module.named_modules()]
    assert scripted.original_name == "Everything"
    assert not scripted.eval().steps[2].training
    scripted.load_state_dict({name: torch.zeros_like(t) for name, t in module.state_dict().items()})
    assert scripted.inner["a"].weight.abs().sum() == 0
    assert "(steps): ModuleList(" in repr(scripted)


def test_parameters_are_shared_with_the_module():
    module = Inner(3)
    scripted = torch.jit.script(module)
    assert scripted.weight is module.weight
    with torch.no_grad():
        module.weight.fill_(1.0)
    same(scripted(X), module(X))
    scripted(X).sum().backward()
    assert module.weight.grad is not None


def test_gradients_and_optimisers():
    module, scripted = pair()
    for m in (module, scripted):
        optimizer = torch.optim.SGD(m.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            m(X)[0].sum().backward()
            optimizer.step()
    for (name, a), (_, b) in zip(scripted.named_parameters(), module.named_parameters()):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), name


def test_copies_are_apart():
    _, scripted = pair()
    twin = copy.deepcopy(scripted)
    with torch.no_grad():
        twin.inner["a"].weight.zero_()
    assert not torch.equal(twin(X)[0], scripted(X)[0])
    assert twin.history == [1.5] and len(scripted.history) == 1
    with pytest.raises(UnsupportedError, match="jit.save"):
        pickle.dumps(scripted)


def test_modules_that_hold_equal_things_share_a_class():
    scripted = torch.jit.script(nn.Sequential(Inner(2), Inner(2), Inner(2, False)).append(Holder()).get_submodule("3"))
    assert scripted.first.original_name == scripted.second.original_name != scripted.third.original_name


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = Inner(3), Inner(3), Inner(3, False)

    def forward(self, x):
        return self.first(self.second(self.third(x)))


def test_recurrent_and_attention_layers():
    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)
            self.gru = nn.GRU(4, 4)
            self.cell = nn.GRUCell(4, 4)
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, x):
            y, (h, c) = self.lstm(x)
            z, last = self.gru(y)
            a, weights = self.attention(z, z, z)
            assert weights is not None
            return self.cell(a[0]) + h[0].sum() + c.sum(), weights, last

    torch.manual_seed(0)
    module = Layers()
    x = torch.randn(2, 5, 3)
    same(torch.jit.script(module)(x), module(x))


def test_methods_save_functions_and_modules(tmp_path):
    module, scripted = pair()
    scripted.save(tmp_path / "module")
    module.state = scripted.state = None
    same(torch.jit.load(tmp_path / "module")(X), module(X))

    def double(x):
        return x * 2

    buffer = io.BytesIO()
    torch.jit.script(double).save(buffer)
    buffer.seek(0)
    same(torch.jit.load(buffer)(X), X * 2)


def test_library_modules_need_no_script():
    with pytest.raises(CompileError, match="Linear is a module of the library"):
        torch.jit.script(nn.Linear(1, 1))


def test_loops_over_a_part_of_the_modules():
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList([Inner(3) for _ in range(4)])

        def forward(self, x):
            for step in self.steps[1:]:
                x = step(x)
            for i, step in enumerate(reversed(self.steps[:-2])):
                x = step(x) * i + self.steps[i](x) + self.steps[-1](x)
            return x

    torch.manual_seed(0)
    module = Part()
    same(torch.jit.script(module)(X), module(X))


class Leaves(nn.Module):
    """Loops over modules that are left early, by a number or by the values of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([Inner(3), nn.ReLU(), Inner(3)])
        self.named = nn.ModuleDict({"a": Inner(3), "b": nn.Tanh()})

    def forward(self, x, skipped: int, limit: float):
        for i, step in enumerate(self.steps):
            if i == skipped:
                continue
            if bool(x.sum() > limit):
                break
            x = step(x) + 1
            last = step
        else:
            x = x * 0.5
        count = 0
        for name, module in self.named.items():
            for step in self.steps:
                if skipped == 2 and name == "a":
                    break
                count += 1
                x = step(x)
            else:
                if count == 4:
                    continue
            x = module(x)
        return x, count


def test_loops_over_modules_can_be_left():
    torch.manual_seed(0)
    module = Leaves()
    scripted = torch.jit.script(module, fullgraph=True)
    assert "for _turn in range(3):" in scripted.code
    for args in ((X, 1, 1e9), (X, 5, 1e9), (X, 2, 3.0), (X, 0, -1e9)):
        same(scripted(*args), module(*args))
        weights = list(module.parameters())
        for got, wanted in zip(*[torch.autograd.grad(m(*args)[0].sum(), weights, allow_unused=True)
                                 for m in (scripted, module)]):  # fmt: skip
            same(got, wanted)
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    assert loaded.program_code == scripted.program_code
    same(loaded(X, 1, 3.0), module(X, 1, 3.0))


def test_a_variable_that_a_turn_may_skip_has_no_value():
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList([nn.ReLU(), nn.Tanh()])

        def forward(self, x, n: int):
            for step in self.steps:
                if n == 1:
                    continue
                y = step(x)
            return y

    with pytest.raises(CompileError, match="y has no value if the loop continues"):
        torch.jit.script(Skips())


def test_explain_says_what_ran_as_python():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner(3)

        def forward(self, x, words: List[str]):
            text = ""
            for value in self.inner(x).flatten().tolist() if False else [1.0]:
                text += str(value)
            n = int(x.sum().item() * 0) + len(words)
            return self.inner(x) * len(str(x.sum().item())), text + words[0], n

    scripted = torch.jit.script(Mixed())
    out, text, n = scripted(X, ["a"])
    assert text == "1.0a" and n == 1 and out.shape == X.shape
    explained = scripted.explain()
    assert "runs eagerly" in explained
    # The submodule that the Python called is a program of its own.
    assert "inner, called from Python:" in explained
    assert "native, 0 eager" in explained.split("inner, called from Python:")[1]


class Named(nn.Sequential):
    """A Sequential with names, and no forward of its own."""


class Steps(nn.ModuleList):
    def forward(self, x):
        for i, step in enumerate(self):
            x = step(x) + i
        return x + len(self)


class Holds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.named = Named(Inner(3), nn.Tanh())
        self.steps = Steps([Inner(3), nn.ReLU()])
        self.scripted = torch.jit.script(Leaves())

    def forward(self, x):
        y, count = self.scripted(x, 1, 3.0)
        return self.steps(self.named(x)) + y, count, self.named[1](x) + self.steps[0](x)


def test_subclasses_of_containers_and_scripted_submodules():
    torch.manual_seed(0)
    module = Holds()
    scripted = torch.jit.script(module, fullgraph=True)
    same(scripted(X), module(X))
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    same(torch.jit.load(buffer)(X), module(X))

"""PyTorch's older spellings: type comments, subclasses of ScriptModule, __constants__, Attribute."""

from __future__ import annotations

from typing import List

import jitorch as torch
from jitorch import nn
from tests.frontend.script.check import same


@torch.jit.script
def commented(x, n, flag):
    # type: (Tensor, int, bool) -> Tuple[Tensor, int]
    outputs = []  # type: List[Tensor]
    for i in range(n):
        outputs += [x + i]
    if flag:
        outputs.append(x)
    return torch.stack(outputs), len(outputs)


def test_type_comments():
    x = torch.ones(2)
    out, n = commented(x, 2, True)
    same(out, torch.stack([x, x + 1, x]))
    assert n == 3


class OldModule(torch.jit.ScriptModule):
    __constants__ = ["times"]

    def __init__(self, times):
        super(OldModule, self).__init__()  # noqa: UP008
        self.times = times
        self.linear = nn.Linear(3, 3)
        self.names = torch.jit.Attribute(["a"], List[str])

    @torch.jit.script_method
    def forward(self, x):
        # type: (Tensor) -> Tensor
        for _ in range(self.times):
            x = torch.tanh(self.linear(x))
        return x * len(self.names)


def test_script_module_subclasses():
    module = OldModule(2)
    x = torch.ones(1, 3)
    expected = torch.tanh(module.linear(torch.tanh(module.linear(x))))
    same(module(x), expected)
    assert "for _ in range(self.times)" in module.code
    assert [name for name, _ in module.named_parameters()] == ["linear.weight", "linear.bias"]

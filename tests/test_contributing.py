"""CONTRIBUTING's walk-through, as a program: an op that stands in one place computes and has a gradient."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# In a process of its own: the registry of this one stays as it is.
PROGRAM = """
import json, sys
import jitorch
import numpy
from jitorch.ops import math
for block in json.load(sys.stdin):
    exec(compile(block, "CONTRIBUTING.md", "exec"), vars(math))
x = jitorch.Tensor([1.5, -2.0, 0.25], dtype=jitorch.float64).requires_grad_()
y = math.squareplus(x, b=0.5)
y.backward(jitorch.Tensor([1.0, 1.0, 1.0], dtype=jitorch.float64))
samples = list(math.squareplus.rules["samples"](numpy.random.default_rng(0)))
print(json.dumps([y.detach().numpy().tolist(), x.grad.numpy().tolist(), len(samples)]))
"""


@pytest.mark.parametrize("count", [1, 2], ids=["derived gradient", "given gradient"])
def test_the_walk_through_works(count):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(blocks[:count]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, gradient, samples = json.loads(done.stdout)
    x = np.array([1.5, -2.0, 0.25])
    root = np.sqrt(x * x + 0.5)
    np.testing.assert_allclose(value, (x + root) / 2, rtol=1e-12)
    np.testing.assert_allclose(gradient, (1 + x / root) / 2, rtol=1e-12)
    assert samples == 2

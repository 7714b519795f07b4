from __future__ import annotations

import datetime
import logging
import math
import os
import random
import re
import time
import warnings
from typing import Any

import numpy as np
import pytest

from jitorch.frontend.python.pure import effect, is_pure, module_of


@pytest.mark.parametrize("function", [math.sqrt, abs, np.exp, np.sum, np.linalg.norm, re.sub, int.from_bytes, round])
def test_pure(function: Any) -> None:
    assert is_pure(function)
    assert effect(function) is None


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (print, "print()"),
        (open, "io.open"),
        (time.time, "time.time"),
        (random.random, "random.random"),
        (random.shuffle, "random.shuffle"),
        (np.random.rand, "numpy.random.rand"),
        (os.getcwd, "os.getcwd"),
        (logging.info, "logging.info"),
        (warnings.warn, "warnings.warn"),
    ],
)
def test_effects_say_why(function: Any, word: str) -> None:
    why = effect(function)
    assert why is not None
    assert word in why


@pytest.mark.parametrize("function", [datetime.datetime.now, np.load, np.empty, sum, "".join])
def test_everything_else_is_unknown(function: Any) -> None:
    assert not is_pure(function)


def test_modules_of_functions() -> None:
    assert module_of(math.sqrt) == "math"
    assert module_of([].append) == "builtins"
    assert module_of(random.random) == "random"

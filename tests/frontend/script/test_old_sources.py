"""Sources in the style of TorchScript's time run unchanged, and compute what PyTorch's own compiler computes.

The programs in ``old/`` are written for PyTorch: each file is loaded twice, once as it is, and once with jitorch in
the place of torch, which is the one thing that a user changes.
"""

from __future__ import annotations

import importlib.util
import io
import re
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as pytorch

import jitorch

OLD = Path(__file__).parent / "old"


def numbers(*shape: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Numbers of which no two are equal."""
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 1.7 + 0.3) * scale + shift).astype(np.float32).reshape(shape)


def boxes(count: int) -> np.ndarray:
    corners = np.abs(numbers(count, 2, scale=8.0))
    return np.concatenate([corners, corners + np.abs(numbers(count, 2, scale=6.0, shift=7.0)) + 1], axis=1)


def indices(*rows: Any) -> np.ndarray:
    return np.array(rows if len(rows) > 1 else rows[0], np.int64)


EDGES = indices([0, 1, 2, 3, 1], [1, 2, 0, 1, 3])
X = numbers(4, 3)

PROGRAMS: list[tuple[str, str, list[tuple[Any, ...]]]] = [
    ("vision", "nms", [(boxes(5), numbers(5), 0.2), (boxes(3), numbers(3), 0.01)]),
    ("vision", "clip_boxes_to_image", [(boxes(3), (8, 9))]),
    ("vision", "BatchImages", [([numbers(2, 3, 5), numbers(2, 4, 2)],)]),
    ("vision", "AnchorGenerator", [([numbers(1, 2, 4, 4), numbers(1, 2, 2, 2)], numbers(1, 3, 8, 8))] * 2),
    ("vision", "decode_boxes", [(numbers(3, 4), boxes(3))]),
    ("vision", "postprocess", [(numbers(2, 4, 3, scale=2.0), np.stack([boxes(4), boxes(4)]), 0.5)]),
    ("vision", "Pyramid", [({"a": numbers(1, 2, 8, 8), "b": numbers(1, 3, 4, 4), "c": numbers(1, 4, 2, 2)},)]),
    ("vision", "assign_levels", [([boxes(3), boxes(2)],)]),
    ("vision", "DenseBlock", [(numbers(1, 2, 3, 3),)]),
    ("vision", "InvertedResidual", [(numbers(2, 2, 4, 4),)] * 2),
    ("vision", "keypoints_to_heatmap", [(numbers(2, 3, 3, scale=9.0, shift=5.0), boxes(2), 5)]),
    ("vision", "select_or_all", [(X, [2, 0]), (X, None), (X, [])]),
    ("decoding", "Vocabulary", [(" a BAD cat ran ",), ("cat",)]),
    ("decoding", "word_count", [(["a b a", "", "b  c"],)]),
    ("decoding", "error_rate", [([[1, 2, 3], [4]], [[1, 3], [4, 5]])]),
    ("decoding", "GreedyDecoder", [(np.eye(5, dtype=np.float32)[[1, 1, 0, 2, 3, 3, 0, 3, 4]],)]),
    ("decoding", "viterbi", [(numbers(5, 3), numbers(3, 3)), (numbers(1, 3), numbers(3, 3))]),
    ("decoding", "forward_algorithm", [(X, numbers(3, 3), None), (X, numbers(3, 3), np.array([1, 1, 0, 1]) > 0)]),
    ("decoding", "best_of", [(numbers(5), 0.7), (numbers(1), 1.0)]),
    ("decoding", "Generator", [(1, 5), (2, 2)]),
    ("decoding", "calc_banned_tokens", [([[1, 2, 1, 2, 3], [4, 4, 4, 4, 4]], 2, 4), ([[1]], 4, 1)]),
    ("decoding", "top_filter", [(numbers(2, 5), 3, 1.0), (numbers(2, 5), 0, 0.7)]),
    ("decoding", "pad_sequences", [([numbers(3), numbers(1), numbers(2)], -1.0)]),
    ("audio", "mu_law_encoding", [(numbers(8), 256), (indices([0, 1, -1]), 16)]),
    ("audio", "mu_law_decoding", [(indices([0, 7, 15]), 16)]),
    ("audio", "mel_banks", [(5, 4000.0, 3, None), (9, 8000.0, 4, "slaney")]),
    ("audio", "Features", [(numbers(30),), (numbers(17), True)]),
    ("audio", "lfilter", [(numbers(6), [1.0, -0.5, 0.2], [0.3, 0.1, 0.4])]),
    ("audio", "compute_deltas", [(numbers(2, 7),), (numbers(3, 9), 3)]),
    ("audio", "segments", [(numbers(20), 0.1, 2), (numbers(3), 9.0, 1)]),
    ("audio", "sliding_mean", [(numbers(6, 2), 3), (numbers(5, 2), 4, False)]),
    ("audio", "amplitude_to_decibels", [(np.abs(numbers(5)), 10.0, 1e-4), (np.abs(numbers(5)), 20.0, 1e-4, 3.0)]),
    ("recurrent", "NormLSTMCell", [(numbers(2, 3), (numbers(2, 2), numbers(2, 2, scale=0.5)))]),
    ("recurrent", "Bidirectional", [(numbers(4, 2, 3),), (numbers(2, 2, 3),)]),
    ("recurrent", "Tagger", [(indices([1, 2, 0], [3, 4, 5]),),
                             (indices([1, 2, 6], [3, 4, 5]), (numbers(4, 2, 2), numbers(4, 2, 2)))]),
    ("recurrent", "VariableLengths", [(numbers(4, 3, 3), [4, 3, 1]), (numbers(2, 2, 3), [2, 2])]),
    ("recurrent", "Speller", [(numbers(2, 3, 2),), (numbers(2, 3, 2), indices([1, 2, 3], [0, 4, 1]))]),
    ("recurrent", "QRNN", [(numbers(4, 2, 3),), (numbers(3, 2, 3), numbers(2, 2))]),
    ("recurrent", "running", [(X, 0.5), (numbers(2, 3), 0.1)]),
    ("attention", "MultiheadAttention", [
        (numbers(3, 2, 4), None), (numbers(3, 2, 4), None, np.array([[0, 0, 1], [0, 1, 1]]) > 0, None, False),
        (numbers(3, 2, 4), None, None, None, True, np.triu(np.full((3, 3), -1e4, np.float32), 1))]),
    ("attention", "StepByStep", [(numbers(4, 2, 4),)]),
    ("attention", "Encoder", [(indices([1, 2, 3], [4, 5, 0]),), (indices([1, 2], [4, 5]), True)]),
    ("attention", "relative_position_bucket", [(indices([-9, -3, 0, 2, 30]),), (indices([-9, -3, 0, 2]), False)]),
    ("attention", "Rotary", [(numbers(3, 4), numbers(3, 4)), (numbers(2, 4), numbers(2, 4)),
                             (numbers(5, 4), numbers(5, 4))]),
    ("graphs", "GraphConv", [(X, EDGES), (X, EDGES, indices([1, 3, 2, 1, 2]))]),
    ("graphs", "GraphAttention", [(X, EDGES)]),
    ("graphs", "Stack", [(X, EDGES)]),
    ("graphs", "distances", [([(0, 1), (1, 2), (2, 3), (0, 4), (5, 6)], 0)]),
    ("graphs", "page_rank", [(np.abs(numbers(4, 4)), 0.85, 1e-3)]),
    ("language", "calculate", [([1.5, 2.0, 3.0, -4.0],), ([2.0],)]),
    ("language", "normalise", [(X, -1.0, 3.0), (X, 1.0, 1.0)]),
    ("language", "checked_sqrt", [(np.abs(X), True), (X, False), (X, True)]),
    ("language", "primes", [(10,), (0,)]),
    ("language", "collatz", [(27,), (1,)]),
    ("language", "describe", [(3,), (2.5,), ("abc",), ([1, 2],)]),
    ("language", "transform_text", [("a quick fox",), ("yax",)]),
    ("language", "parse_config", [("a = 1\n# no\n\n b=x y",), ("a\n",)]),
    ("language", "Counter", [(numbers(3, 2), ["a", "b"]), (numbers(1, 2), []), (numbers(2, 2), ["c", "d", "e"])]),
    ("language", "Chooses", [(X, [0, 1, 0])]),
    ("language", "matrix_power", [(numbers(3, 3), 5), (numbers(2, 2), 0)]),
    ("language", "gram_schmidt", [(numbers(3, 3),), (np.ones((2, 3), np.float32),)]),
    ("language", "merge", [({"b": [1, 2], "a": [9]}, {"c": [0], "b": [1]})]),
    ("language", "containers_of_anything", [([1, "a", 2], {"x": "y", "z": 1})]),
    ("language", "first_or", [([3, None],), ([None],), (None, 4), ([],)]),
]  # fmt: skip

NOT_SAVED = {"Counter"}
"""Programs that call Python."""


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Gives a file of ``old/`` as a module of either library."""
    folder = tmp_path_factory.mktemp("old")
    found: dict[tuple[str, str], types.ModuleType] = {}

    def loaded(library: str, name: str) -> types.ModuleType:
        key = (library, name)
        if key not in found:
            path = OLD / f"{name}.py"
            if library == "jitorch":
                text = path.read_text()
                path = folder / f"{name}.py"
                path.write_text(of_jitorch(text))
            spec = importlib.util.spec_from_file_location(f"old_{library}_{name}", path)
            assert spec is not None and spec.loader is not None
            found[key] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's: its compiler is out of date
                spec.loader.exec_module(found[key])
        return found[key]

    yield loaded
    for module in found.values():
        del sys.modules[module.__name__]


def of_jitorch(text: str) -> str:
    """The source with jitorch in the place of torch."""
    text = re.sub(r"^import torch$", "import jitorch as torch", text, flags=re.MULTILINE)
    return re.sub(r"^(import|from) torch\b", r"\1 jitorch", text, flags=re.MULTILINE)


def made(thing: Any, library: Any) -> Any:
    """The function, or an instance of the class of modules with parameters that do not depend on the library."""
    if not isinstance(thing, type):
        return thing
    module = thing()
    with library.no_grad():
        for parameter in module.parameters():
            parameter.copy_(library.from_numpy(numbers(*parameter.shape, scale=0.7)))
    return module.eval()


def given(value: Any, library: Any) -> Any:
    """Arguments for a library: arrays become its tensors, those of floats want gradients."""
    if isinstance(value, np.ndarray):
        tensor = library.from_numpy(value.copy())
        return tensor.requires_grad_() if value.dtype == np.float32 else tensor
    if isinstance(value, (list, tuple)):
        return type(value)(given(item, library) for item in value)
    return {k: given(v, library) for k, v in value.items()} if isinstance(value, dict) else value


def flat(value: Any, library: Any) -> list[Any]:
    """The leaves of a value: tensors and plain values."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in (key, *flat(item, library))]
    if isinstance(value, (list, tuple)):
        return [len(value), *[leaf for item in value for leaf in flat(item, library)]]
    return [value]


def outcome(thing: Any, args: tuple[Any, ...], library: Any) -> list[Any]:
    """What a call gives as arrays and plain values: result, gradients, state; or the error."""
    args = given(args, library)
    try:
        result = flat(thing(*args), library)
    except Exception as error:  # noqa: BLE001 - an error is an outcome, to be compared like any other
        return ["raised", first_words(error)]
    tensors = [t for t in result if isinstance(t, library.Tensor) and t.requires_grad]
    leaves = [t for t in flat(args, library) if isinstance(t, library.Tensor) and t.requires_grad]
    leaves += list(thing.parameters()) if isinstance(thing, library.nn.Module) else []
    total = sum((t * t + t).sum() for t in tensors)
    gradients = list(library.autograd.grad(total, leaves, allow_unused=True)) if tensors else []
    state = list(thing.state_dict().values()) if isinstance(thing, library.nn.Module) else []
    return [x.detach().numpy() if isinstance(x, library.Tensor) else x for x in (*result, *gradients, *state)]


def first_words(error: Exception) -> str:
    """What an error says, without PyTorch's account of the place and of the class."""
    # Pytest adds what it knows of assertions in the modules of tests.
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("assert ")]
    return lines[-1].rpartition(": ")[-1].strip()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"{program[0]}-{program[1]}")
def test_an_old_source_computes_what_it_computed(program, load):
    file, name, calls = program
    theirs = made(getattr(load("torch", file), name), pytorch)
    ours = made(getattr(load("jitorch", file), name), jitorch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # and says so again
        theirs = pytorch.jit.script(theirs)
    ours = jitorch.jit.script(ours)
    loaded = None if name in NOT_SAVED else from_a_file(ours)
    for i, args in enumerate(calls):
        expected = outcome(theirs, args, pytorch)
        check_equal(outcome(ours, args, jitorch), expected)
        if i == 0 and loaded is not None:
            check_equal(outcome(loaded, args, jitorch), expected)


def from_a_file(scripted: Any) -> Any:
    buffer = io.BytesIO()
    jitorch.jit.save(scripted, buffer)
    buffer.seek(0)
    return jitorch.jit.load(buffer)


def check_equal(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert type(a) is type(b)
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
        else:
            assert a == pytest.approx(b, rel=1e-5) if isinstance(b, float) else a == b

"""Frozen modules: constants that nobody writes, prepared once, and the same results."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import jit, nn
from jitorch.errors import ArgumentError, ShapeError
from jitorch.nn import functional as F


def mlp() -> nn.Module:
    jitorch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 48), nn.ReLU(), nn.Dropout(0.5), nn.Linear(48, 24)).eval()


def cnn() -> nn.Module:
    jitorch.manual_seed(1)
    layers = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 4, 1)
    model = nn.Sequential(*layers)
    model(jitorch.randn(2, 16, 8, 8))  # running statistics that are not 0 and 1
    return model.eval()


def recurrent() -> nn.Module:
    jitorch.manual_seed(2)
    return nn.LSTM(8, 16, batch_first=True).eval()


MODELS = {"mlp": (mlp, (12, 40)), "cnn": (cnn, (2, 16, 8, 8)), "recurrent": (recurrent, (3, 5, 8))}


def leaves(result: Any) -> list[np.ndarray]:
    if isinstance(result, tuple):
        return [leaf for part in result for leaf in leaves(part)]
    return [result.detach().numpy()]


@pytest.mark.parametrize("name", MODELS)
def test_results_and_gradients_of_the_input_are_the_same(name: str) -> None:
    make, shape = MODELS[name]
    model = make()
    frozen = jit.freeze(model)
    compiled = jit(frozen, fullgraph=True)
    for _ in range(2):
        x, y, z = (jitorch.linspace(-1, 1, int(np.prod(shape))).reshape(shape).requires_grad_() for _ in range(3))
        results = [leaves(f(v)) for f, v in ((model, x), (frozen, y), (compiled, z))]
        for expected, eager, native in zip(*results, strict=True):
            np.testing.assert_array_equal(eager, expected)
            np.testing.assert_allclose(native, expected, rtol=1e-5, atol=1e-5)
        for f, v in ((model, x), (compiled, z)):
            out = f(v)
            (out[0] if isinstance(out, tuple) else out).sin().sum().backward()
        np.testing.assert_allclose(z.grad.numpy(), x.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_a_weight_is_packed_once_for_all_calls() -> None:
    frozen = jit.freeze(mlp())
    compiled, live = jit(frozen), jit(mlp())
    with jitorch.no_grad():
        x = jitorch.randn(12, 40)
        first = compiled(x)
        assert "made of constants, once" in compiled.explain()
        assert "once" not in (live(x), live.explain())[1]
        programs = compiled.entries[0].function.compiled
        (prepared,) = [c.prepared for c in programs if c.prepared]
        before = [array.copy() for array in prepared]
        assert all(np.array_equal(compiled(x).numpy(), first.numpy()) for _ in range(3))
        np.testing.assert_allclose(live(x).numpy(), first.numpy(), rtol=1e-5, atol=1e-6)
    for array, old in zip(prepared, before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_programs_of_one_code_have_their_own_constants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models of one shape share what the cache keeps, not what is made of their weights."""
    x = jitorch.randn(12, 40)
    for seed in range(3):
        model = mlp()
        with jitorch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * seed)
            compiled = jit(jit.freeze(model))
            np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-5)


def test_the_module_itself_is_not_changed() -> None:
    model = mlp()
    frozen = jit.freeze(model)
    assert dict(frozen.named_parameters()).keys() == dict(model.named_parameters()).keys()
    assert all(isinstance(p, nn.Parameter) and not p.requires_grad for p in frozen.parameters())
    with jitorch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert all(t.abs().sum().item() > 0 for t in frozen.parameters())
    assert sum(p.abs().sum().item() for p in model.parameters()) == 0


def test_nobody_writes_a_constant() -> None:
    frozen = jit.freeze(mlp())
    weight: Any = frozen[0].weight  # type: ignore[index]
    before = weight.clone()
    with jitorch.no_grad():
        for write in (
            lambda: weight.add_(1), lambda: weight.zero_(), lambda: weight[0].fill_(3), lambda: weight.t().mul_(2),
            lambda: weight.copy_(before), lambda: weight.detach().sub_(1),
            lambda: frozen.load_state_dict(mlp().state_dict()),
            lambda: F.relu(weight, True), lambda: weight.data.add_(1), lambda: nn.init.ones_(weight),
        ):  # fmt: skip
            with pytest.raises(ShapeError, match="read-only"):
                write()
    with pytest.raises(ValueError, match="read-only"):
        weight.numpy()[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        weight.numpy().flags.writeable = True
    np.testing.assert_array_equal(weight.numpy(), before.numpy())


def test_a_compiled_function_does_not_write_a_constant_either() -> None:
    frozen: Any = jit.freeze(mlp())

    @jit
    def scaled(x: Any) -> Any:
        frozen[0].weight.mul_(2.0)
        return frozen(x)

    before = frozen[0].weight.clone()
    with jitorch.no_grad(), pytest.raises(ShapeError) as caught:
        scaled(jitorch.randn(12, 40))
    assert "frozen[0].weight.mul_(2.0)" in str(caught.value)
    assert "preserved_attrs" in str(caught.value)
    np.testing.assert_array_equal(frozen[0].weight.numpy(), before.numpy())


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("calls", jitorch.zeros(()))

    def forward(self, x: Any) -> Any:
        self.calls.add_(1.0)
        return self.inner(x) * self.calls


def test_what_is_preserved_may_change() -> None:
    model = Counting().eval()
    frozen: Any = jit.freeze(model, ["calls"])
    compiled = jit(frozen)
    with jitorch.no_grad():
        x = jitorch.ones(2, 4)
        one, two = compiled(x), compiled(x)
    np.testing.assert_allclose(two.numpy(), 2 * one.numpy(), rtol=1e-6)
    assert frozen.calls.item() == 2
    assert model.calls.item() == 0
    whole: Any = jit.freeze(model, ["inner"])
    assert [n for n, p in whole.named_parameters() if p.requires_grad] == ["inner.weight", "inner.bias"]
    assert whole.calls._is_frozen


def test_shared_tensors_stay_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.out = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, x: Any) -> Any:
            return self.out(self.embedding(x))

    model = Tied().eval()
    frozen: Any = jit.freeze(model)
    assert frozen.out.weight is frozen.embedding.weight
    x = jitorch.tensor([0, 3, 5])
    with jitorch.no_grad():
        np.testing.assert_allclose(jit(frozen)(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_another_module_in_its_place_is_seen() -> None:
    models: Any = [jit.freeze(mlp()), None]
    with jitorch.no_grad():
        other = mlp()
        for p in other.parameters():
            p.mul_(-0.5)
        models[1] = jit.freeze(other)
        x = jitorch.randn(12, 40)
        holder = {"model": models[0]}
        compiled = jit(lambda x: holder["model"](x))
        for turn in (0, 1, 0, 1):
            holder["model"] = models[turn]
            np.testing.assert_allclose(compiled(x).numpy(), models[turn](x).numpy(), rtol=1e-5, atol=1e-6)


def test_an_argument_is_no_constant() -> None:
    """A function of weights serves all of them by one program."""
    weights = [t for _ in range(3) for t in (jit.freeze(mlp())[0].weight,)]  # type: ignore[index]
    compiled = jit(lambda x, w: x @ w.t())
    with jitorch.no_grad():
        for w in weights:
            compiled(jitorch.randn(12, 40), w)
    assert len(compiled.entries) == 1


def test_symbolic_batches() -> None:
    model = mlp()
    compiled = jit(jit.freeze(model))
    with jitorch.no_grad():
        for rows in (1, 5, 12, 33):
            x = jitorch.randn(rows, 40)
            np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "make", [jit.script, lambda m: jit.trace(m, (jitorch.zeros(12, 40),))], ids=["script", "trace"]
)
def test_scripts_and_traces(make: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = mlp()

        def forward(self, x: jitorch.Tensor) -> jitorch.Tensor:
            return self.layers(x).relu()

    model = Model().eval()
    frozen = jit.freeze(make(model))
    x = jitorch.randn(12, 40)
    with jitorch.no_grad():
        np.testing.assert_allclose(frozen(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
        assert "made of constants, once" in frozen.explain()
        file = io.BytesIO()
        jit.save(frozen, file)
        file.seek(0)
        np.testing.assert_allclose(jit.load(file)(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_copies() -> None:
    frozen: Any = jit.freeze(mlp())
    assert copy.deepcopy(frozen)[0].weight is frozen[0].weight
    thawed = pickle.loads(pickle.dumps(frozen))
    np.testing.assert_array_equal(thawed[0].weight.numpy(), frozen[0].weight.numpy())
    assert jit.optimize_for_inference(frozen) is frozen
    assert all(p._is_frozen for p in jit.optimize_for_inference(mlp()).parameters())


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: jit.freeze(mlp().train()), "evaluation mode"),
        (lambda: jit.freeze(len), "takes a Module"),
        (lambda: jit.freeze(mlp(), ["nothing"]), "names nothing"),
    ],
)
def test_what_is_refused(call: Any, what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        call()


@pytest.mark.parametrize("dtype", [jitorch.float64, jitorch.bfloat16, jitorch.int64, jitorch.bool], ids=str)
def test_any_dtype_and_size(dtype: Any) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, shape in (("some", (2, 3)), ("one", ()), ("none", (0, 4))):
                self.register_buffer(name, jitorch.ones(shape).to(dtype))

    frozen: Any = jit.freeze(Holder().eval())
    for name in ("some", "one", "none"):
        tensor = getattr(frozen, name)
        assert tensor._is_frozen
        assert tensor.dtype is dtype
        assert tensor.numpy().flags.writeable is False

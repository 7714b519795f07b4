"""Random numbers: reproducible, independent of shape and mode, and of the right distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jitorch
from jitorch import random as jrandom
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ir import scalars
from jitorch.ops.generator import Generator

N = 40_000


@pytest.fixture(autouse=True)
def _seed():
    jitorch.manual_seed(0)


def test_the_stream_is_philox_of_seed_and_position():
    jitorch.manual_seed(7)
    words = scalars.philox(7, 0, np.arange(6))
    np.testing.assert_array_equal(jitorch.rand(2, 3).numpy().ravel(), ((words >> 8) * 2.0**-24).astype("float32"))
    words = scalars.philox(7, 6, np.arange(4))
    np.testing.assert_array_equal(jitorch.randint(10, (4,)).numpy(), (words * 10) >> 32)


def test_known_words():
    # Key and counter 0: the first of the vectors that come with Random123's philox4x32-10.
    assert hex(int(scalars.philox(0, 0, np.array([0]))[0])) == "0x6627e8d5"


def test_seeds_and_states():
    first = jitorch.rand(5)
    assert not jitorch.equal(first, jitorch.rand(5))
    jitorch.manual_seed(0)
    assert jitorch.equal(first, jitorch.rand(5))
    assert jitorch.initial_seed() == 0
    state = jitorch.get_rng_state()
    second = jitorch.rand(5)
    jitorch.set_rng_state(state)
    assert jitorch.equal(second, jitorch.rand(5))
    assert jitorch.seed() == jitorch.initial_seed() != 0
    jitorch.manual_seed(-1)
    jitorch.manual_seed(2**64 - 1)


def test_fork_rng():
    with jrandom.fork_rng():
        inside = jitorch.rand(3)
    assert jitorch.equal(inside, jitorch.rand(3))
    with jrandom.fork_rng(enabled=False):
        jitorch.rand(3)
    assert not jitorch.equal(inside, jitorch.rand(3))


def test_generators_are_independent():
    ours = Generator().manual_seed(3)
    state = jitorch.get_rng_state()
    a = jitorch.randn(4, generator=ours)
    assert jitorch.equal(state, jitorch.get_rng_state())
    assert jitorch.equal(a, jitorch.randn(4, generator=Generator().manual_seed(3)))
    other = ours.clone_state()
    assert jitorch.equal(jitorch.rand(2, generator=ours), jitorch.rand(2, generator=other))
    assert ours.initial_seed() == 3 and "cpu" in repr(ours) and ours.device.type == "cpu"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_and_normal(dtype):
    dtype = getattr(jitorch, dtype)
    u = jitorch.rand(N, dtype=dtype).double()
    assert u.min().item() >= 0 and u.max().item() < 1
    assert abs(u.mean().item() - 0.5) < 0.01 and abs(u.var().item() - 1 / 12) < 0.002
    z = jitorch.randn(N, dtype=dtype).double()
    assert abs(z.mean().item()) < 0.02 and abs(z.std().item() - 1) < 0.02
    assert abs((z.abs() < 1).double().mean().item() - 0.6827) < 0.01
    assert abs((z**4).mean().item() - 3) < 0.2


def test_halves_of_a_pair_are_not_correlated():
    z = jitorch.randn(N).reshape(2, -1)
    assert abs(jitorch.corrcoef(z)[0, 1].item()) < 0.02
    assert abs(jitorch.corrcoef(jitorch.stack([z[0][:-1], z[0][1:]]))[0, 1].item()) < 0.02


def test_integers():
    x = jitorch.randint(-3, 4, (N,))
    counts = np.bincount(x.numpy() + 3)
    assert len(counts) == 7 and abs(counts / N - 1 / 7).max() < 0.01
    assert jitorch.randint(0, 2**40, (N,)).max().item() > 2**39
    assert jitorch.randint(-(2**63), 2**63 - 1, (N,)).min().item() < -(2**62)
    assert jitorch.randint(5, (2,), dtype=jitorch.float32).dtype is jitorch.float32
    assert jitorch.randint_like(x, 3).max().item() == 2


def test_permutations():
    p = jitorch.randperm(100)
    assert sorted(p.tolist()) == list(range(100)) and p.tolist() != list(range(100))
    first = [jitorch.randperm(3)[0].item() for _ in range(600)]
    assert max(abs(first.count(i) - 200) for i in range(3)) < 60
    assert jitorch.randperm(0).shape == (0,)


def test_bernoulli():
    assert abs(jitorch.bernoulli(jitorch.full((N,), 0.3)).mean().item() - 0.3) < 0.01
    assert abs(jitorch.zeros(N).bernoulli_(0.7).mean().item() - 0.7) < 0.01
    assert jitorch.bernoulli(jitorch.tensor([0.0, 1.0])).tolist() == [0, 1]


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial(replacement):
    weights = jitorch.tensor([1.0, 0.0, 3.0])
    drawn = jitorch.multinomial(weights.expand(N, 3), 1, replacement).flatten()
    counts = np.bincount(drawn.numpy(), minlength=3) / N
    assert counts[1] == 0 and abs(counts[0] - 0.25) < 0.01
    assert sorted(jitorch.multinomial(jitorch.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]
    assert jitorch.multinomial(weights, 8, True).shape == (8,)


def test_normal_in_all_forms():
    x = jitorch.normal(2.0, 3.0, (N,))
    assert abs(x.mean().item() - 2) < 0.1 and abs(x.std().item() - 3) < 0.1
    assert jitorch.normal(jitorch.zeros(2, 1), jitorch.ones(3)).shape == (2, 3)
    assert jitorch.normal(jitorch.tensor([5.0]), 0.0).item() == 5
    assert jitorch.normal(0.0, jitorch.zeros(2)).tolist() == [0, 0]


MOMENTS = [
    ("uniform_", (2.0, 4.0), 3.0, 4 / 12), ("normal_", (1.0, 2.0), 1.0, 4.0), ("exponential_", (2.0,), 0.5, 0.25),
    ("geometric_", (0.5,), 2.0, 2.0), ("log_normal_", (0.0, 0.25), math.exp(0.03125), 0.0686),
    ("random_", (2, 5), 3.0, 2 / 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "mean", "variance"), MOMENTS)
def test_filling(name, args, mean, variance):
    x = jitorch.empty(N)
    assert getattr(x, name)(*args) is x
    assert abs(x.mean().item() - mean) < 0.05 * max(mean, 1) and abs(x.var().item() - variance) < 0.1 * max(
        variance, 0.3
    )


def test_cauchy_and_random_without_bounds():
    x = jitorch.empty(N).cauchy_(1.0, 2.0)
    assert abs(x.median().item() - 1) < 0.1 and abs(x.quantile(0.75).item() - 3) < 0.2
    assert jitorch.zeros(N, dtype=jitorch.int8).random_().max().item() == 127
    assert jitorch.zeros(9, dtype=jitorch.bool).random_().sum().item() not in (0, 9)


def test_keyword_of_the_python_word_from():
    assert jitorch.empty(3).uniform_(to=0.0).tolist() == [0, 0, 0]


def test_like():
    x = jitorch.zeros(2, 3).double()
    for f in (jitorch.rand_like, jitorch.randn_like):
        assert f(x).type == x.type and f(x, dtype=jitorch.float32).dtype is jitorch.float32
    assert jitorch.rand(2, requires_grad=True).is_leaf


ERRORS = [
    (lambda: jitorch.rand(2, dtype=jitorch.int64), DTypeError, "floating"),
    (lambda: jitorch.randn(-1), ShapeError, "negative"),
    (lambda: jitorch.randint(3, 3, (2,)), ValueRangeError, "bounds"),
    (lambda: jitorch.randint(3.5, (2,)), ArgumentError, "ints"),
    (lambda: jitorch.randint(3), ArgumentError, "size"),
    (lambda: jitorch.normal(0.0, -1.0, (2,)), ValueRangeError, "std"),
    (lambda: jitorch.normal(0.0, 1.0), ArgumentError, "size"),
    (lambda: jitorch.multinomial(jitorch.ones(3), 4), ValueRangeError, "num_samples"),
    (lambda: jitorch.multinomial(jitorch.zeros(3), 1), ValueRangeError, "sum to 0"),
    (lambda: jitorch.multinomial(-jitorch.ones(3), 1), ValueRangeError, "negative"),
    (lambda: jitorch.multinomial(jitorch.ones(3).long(), 1), ShapeError, "floating"),
    (lambda: jitorch.bernoulli(jitorch.ones(2).long()), DTypeError, "floating"),
    (lambda: jitorch.ones(2).uniform_(2, 1), ValueRangeError, "from <= to"),
    (lambda: jitorch.ones(2).geometric_(2.0), ValueRangeError, "probability"),
    (lambda: jitorch.rand(2, generator=3), ArgumentError, "generator"),
    (lambda: jitorch.manual_seed(1.5), ArgumentError, "int"),
    (lambda: jitorch.set_rng_state(jitorch.ones(2)), ShapeError, "state"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_compiled_function_draws_the_same_numbers():
    def step(x):
        return x + jitorch.rand(3), jitorch.randint(9, (4,)), jitorch.randn(2)

    compiled = jitorch.jit(step, fullgraph=True)
    x = jitorch.zeros(3)
    for _ in range(3):
        state = jitorch.get_rng_state()
        expected = step(x)
        after = jitorch.get_rng_state()
        jitorch.set_rng_state(state)
        found = compiled(x)
        assert jitorch.equal(after, jitorch.get_rng_state())
        assert jitorch.equal(found[0], expected[0]) and jitorch.equal(found[1], expected[1])
        assert jitorch.allclose(found[2], expected[2], rtol=1e-5, atol=1e-6)

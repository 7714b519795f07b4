"""`@jit` on functions: values, guards, writes, gradients, refusals."""

import threading
import warnings

import numpy as np
import pytest

import jitorch
from jitorch import errors, nn

SCALE = 2.0
COUNT = 3


def tensor(values, requires_grad=False):
    t = jitorch.from_numpy(np.asarray(values, np.float32))
    return t.requires_grad_() if requires_grad else t


def jit(function, **options):
    return jitorch.jit(function, fullgraph=True, **options)


def test_values_and_structure_of_results():
    @jit
    def f(x, y):
        return {"sum": x + y, "pair": (x * y, [x - y]), "number": 3, "name": "f"}

    x, y = tensor([1, 2]), tensor([3, 5])
    for _ in range(2):
        out = f(x, y)
        assert list(out) == ["sum", "pair", "number", "name"]
        np.testing.assert_array_equal(out["sum"].numpy(), [4, 7])
        np.testing.assert_array_equal(out["pair"][0].numpy(), [3, 10])
        np.testing.assert_array_equal(out["pair"][1][0].numpy(), [-2, -3])
        assert (out["number"], out["name"]) == (3, "f")
    assert f.statistics.traces == 1


def test_a_float_global_is_a_run_time_value(monkeypatch):
    @jit
    def f(x):
        return x * SCALE

    np.testing.assert_array_equal(f(tensor([1])).numpy(), [2])
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    np.testing.assert_array_equal(f(tensor([1])).numpy(), [5])
    assert f.statistics.traces == 1


def test_an_int_global_is_guarded(monkeypatch):
    @jit
    def f(x):
        return x.reshape(COUNT, -1).sum(0)

    x = tensor(range(6))
    np.testing.assert_array_equal(f(x).numpy(), [6, 9])
    monkeypatch.setitem(globals(), "COUNT", 2)
    np.testing.assert_array_equal(f(x).numpy(), [3, 5, 7])
    assert f.statistics.causes[1] == "COUNT was 3; now it is 2"


def test_second_size_of_an_axis_is_symbolic():
    @jit
    def f(x, w):
        return (x @ w).sum(1) / x.shape[0]

    w = tensor(np.ones((3, 2)))
    for n in (4, 5, 6, 17):
        x = tensor(np.arange(n * 3).reshape(n, 3))
        np.testing.assert_allclose(f(x, w).numpy(), (x.numpy() @ w.numpy()).sum(1) / n, rtol=1e-6)
    assert f.statistics.traces == 2


def test_size_one_is_its_own_trace():
    @jit
    def f(x, y):
        return x + y

    y = tensor(np.ones(3))
    for n in (3, 1, 3, 1):
        np.testing.assert_array_equal(f(tensor(np.ones((n, 3))), y).numpy(), np.full((n, 3), 2))
    assert f.statistics.traces <= 2


def test_in_place_writes_reach_the_caller():
    @jit
    def f(x, y):
        x.add_(y)
        row = x[0]
        row.mul_(10)
        return x.sum()

    x, y = tensor([[1, 2], [3, 4]]), tensor([1, 1])
    alias = x[1]
    assert f(x, y).item() == 59
    np.testing.assert_array_equal(x.numpy(), [[20, 30], [4, 5]])
    np.testing.assert_array_equal(alias.numpy(), [4, 5])
    assert x._version == 1


def test_in_place_write_of_a_tensor_that_is_not_contiguous():
    @jit
    def f(x):
        x.add_(1)

    base = tensor([[1, 2], [3, 4]])
    f(base.transpose(0, 1))
    np.testing.assert_array_equal(base.numpy(), [[2, 3], [4, 5]])


def test_attributes_and_containers_are_written_as_in_python():
    class Holder:
        def __init__(self):
            self.history, self.settings = [], {"scale": 2.0}

        def step(self, x):
            y = x * self.settings["scale"]
            self.history.append(y)
            self.settings["steps"] = self.settings.get("steps", 0) + 1
            self.last = y
            return y.sum()

    holder = Holder()
    step = jit(holder.step)
    for i in range(3):
        step(tensor([i, i]))
    assert [h.numpy().tolist() for h in holder.history] == [[0, 0], [2, 2], [4, 4]]
    assert holder.settings == {"scale": 2.0, "steps": 3}
    assert holder.last is holder.history[-1]


def test_gradients_of_any_order_through_a_jitted_function():
    cube = jit(lambda x: (x * x * x).sum())
    x = tensor([1, 2, 3], requires_grad=True)
    (first,) = jitorch.autograd.grad(cube(x), x, create_graph=True)
    (second,) = jitorch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = jitorch.autograd.grad(second.sum(), x)
    np.testing.assert_allclose(first.detach().numpy(), [3, 12, 27])
    np.testing.assert_allclose(second.detach().numpy(), [6, 12, 18])
    np.testing.assert_allclose(third.numpy(), [6, 6, 6])


def test_backward_from_eager_code_through_a_jitted_module():
    jitorch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tensor(np.ones((5, 3)), requires_grad=True)
    (model(x) ** 2).sum().backward()
    expected = [p.grad.numpy().copy() for p in model.parameters()] + [x.grad.numpy().copy()]
    model.zero_grad()
    x.grad = None
    (jit(model)(x) ** 2).sum().backward()
    for p, e in zip([*model.parameters(), x], expected):
        np.testing.assert_allclose(p.grad.numpy(), e, rtol=1e-5, atol=1e-6)


def test_detached_parts_get_no_gradient():
    f = jit(lambda x: (x.detach() * x).sum())
    x = tensor([2, 3], requires_grad=True)
    (g,) = jitorch.autograd.grad(f(x), x, create_graph=True)
    np.testing.assert_array_equal(g.detach().numpy(), [2, 3])
    assert not g.requires_grad or jitorch.autograd.grad(g.sum(), x, allow_unused=True)[0].numpy().tolist() == [0, 0]


def test_no_grad_inside_stops_gradients():
    @jit
    def f(x):
        with jitorch.no_grad():
            y = x * x
        return (x * y).sum()

    x = tensor([2, 3], requires_grad=True)
    f(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4, 9])


def test_saved_input_changed_before_backward_is_an_error():
    f = jit(lambda x, w: (x * w).sum())
    x, w = tensor([1, 2]), tensor([3, 4], requires_grad=True)
    loss = f(x, w)
    x.add_(1)
    with pytest.raises(errors.AutogradError, match="modified by an in-place operation"):
        loss.backward()


def test_grad_mode_is_part_of_the_signature():
    f = jit(lambda x: x * 2)
    x = tensor([1], requires_grad=True)
    assert f(x).requires_grad
    with jitorch.no_grad():
        assert not f(x).requires_grad
    assert f.statistics.causes[1] == "gradients enabled: True -> False"


def test_what_cannot_be_staged_runs_eagerly_with_one_warning():
    @jitorch.jit
    def f(x):
        if x.tolist()[0] > 0:
            return x
        return -x

    with pytest.warns(RuntimeWarning, match="runs eagerly") as caught:
        np.testing.assert_array_equal(f(tensor([1, 2])).numpy(), [1, 2])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(f(tensor([-1, -2])).numpy(), [1, 2])
    assert f.statistics.eager == 2


def test_refusal_with_fullgraph_points_at_the_line():
    @jit
    def f(x):
        return x if x.tolist() else -x

    with pytest.raises(errors.StagingError) as caught:
        f(tensor([1]))
    assert "x.tolist()" in str(caught.value)
    assert "^" in str(caught.value)


def test_a_refused_trace_writes_nothing():
    log = []

    @jitorch.jit
    def f(x):
        log.append("called")
        return x.tolist()

    with pytest.warns(RuntimeWarning):
        assert f(tensor([4])) == [4]
    assert log == ["called"]


def test_error_in_the_function_has_the_users_line_and_comes_after_its_writes():
    log = []

    @jit
    def f(x):
        log.append(1)
        return x @ x

    with pytest.raises(errors.ShapeError) as caught:
        f(tensor([[1, 2]]))
    assert caught.value.where.file == __file__
    assert "x @ x" in str(caught.value)
    assert log == [1]


def test_exceptions_of_the_function_reach_the_caller():
    @jit
    def f(x, flag):
        if flag:
            raise KeyError("flag")
        return x

    with pytest.raises(KeyError):
        f(tensor([1]), True)
    np.testing.assert_array_equal(f(tensor([1]), False).numpy(), [1])


def test_nested_jitted_functions_are_one_program():
    inner = jit(lambda x: x + 1)
    outer = jit(lambda x: inner(x) * 2)
    np.testing.assert_array_equal(outer(tensor([1])).numpy(), [4])
    assert inner.statistics.calls == 0


def test_random_numbers_are_those_of_eager():
    f = jit(lambda x: x + jitorch.rand(3) + jitorch.randn(3))
    x = tensor([0, 0, 0])
    jitorch.manual_seed(7)
    compiled = [f(x).numpy() for _ in range(3)]
    jitorch.manual_seed(7)
    eager = [(x + jitorch.rand(3) + jitorch.randn(3)).numpy() for _ in range(3)]
    np.testing.assert_allclose(compiled, eager, rtol=1e-6, atol=1e-6)
    assert not np.array_equal(compiled[0], compiled[1])


def test_index_out_of_range_in_compiled_code():
    f = jit(lambda x, i: x[i])
    x = tensor([1, 2, 3])
    np.testing.assert_array_equal(f(x, jitorch.from_numpy(np.array([0, -1]))).numpy(), [1, 3])
    with pytest.raises(IndexError):
        f(x, jitorch.from_numpy(np.array([0, 3])))


def test_disable_runs_eagerly():
    f = jit(lambda x: x + 1)
    with jitorch.jit.disable():
        f(tensor([1]))
    assert f.statistics.traces == 0


def test_two_arguments_that_become_one_object():
    @jit
    def f(x, y):
        x.add_(1)
        return y * 1

    a, b = tensor([1]), tensor([1])
    np.testing.assert_array_equal(f(a, b).numpy(), [1])
    np.testing.assert_array_equal(f(a, a).numpy(), [3])


def test_backend_by_name():
    f = jit(lambda x: (x * 2).sum(), backend="reference")
    assert f(tensor([1, 2])).item() == 6
    assert "reference" in f.explain()


def test_sources_show_every_stage():
    f = jit(lambda x: jitorch.exp(x + 1))
    f(tensor([1, 2]))
    texts = f.sources()
    assert "graph @" in texts["graph"]
    assert "kernel @" in texts["kernels"]
    assert "define" in texts["llvm"]


def test_calls_from_several_threads():
    f = jit(lambda x, s: (x * s).sum())
    results = {}

    def work(i):
        x = tensor(np.full(1000, i))
        results[i] = [f(x, float(j)).item() for j in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: [1000.0 * i * j for j in range(20)] for i in range(8)}
    assert f.statistics.traces <= 8


def test_a_symbolic_size_that_must_equal_a_number_stays_a_number():
    weight = jitorch.ones(3, 2)
    f = jitorch.jit(lambda x: x @ weight, dynamic=True)
    for rows in (4, 5):
        assert f(jitorch.ones(rows, 3)).shape == (rows, 2)
    assert f.statistics.traces == 1
    assert str(f.graph.inputs[0].type) == "f32[s0, 3]"


def test_a_tensor_of_numbers_that_are_known_late():
    f = jitorch.jit(lambda x, scale: jitorch.tensor([[1, scale], [2, 3]]) * x, fullgraph=True)
    x = jitorch.ones(2)
    for scale in (0.5, 1.5):
        assert jitorch.equal(f(x, scale), jitorch.tensor([[1, scale], [2, 3]]) * x)
    assert f.statistics.traces == 1


@pytest.mark.parametrize("clears_first", [True, False])
def test_dropped_gradients_give_their_memory_to_the_new_ones(clears_first):
    w = tensor(np.ones((256, 256)), requires_grad=True)

    @jit
    def step(x):
        if clears_first:
            w.grad = None
        loss = (x @ w).sum()
        w.grad = None
        loss.backward()
        return loss.detach()

    x = tensor(np.ones((4, 256)))
    places = []
    for _ in range(6):
        step(x)
        places.append(w.grad.data_ptr())
        np.testing.assert_array_equal(w.grad.numpy(), np.full((256, 256), 4))
    assert len(set(places)) == (1 if clears_first else 2)
    kept = w.grad
    step(x)
    assert w.grad is not kept
    assert w.grad.data_ptr() != kept.data_ptr()


@pytest.mark.parametrize("clears_first", [True, False])
def test_a_failing_call_leaves_gradients_as_eager_would(clears_first):
    w = tensor(np.ones((5, 2)), requires_grad=True)

    @jit
    def step(i):
        if clears_first:
            w.grad = None
        loss = w[i].sum()
        w.grad = None
        loss.backward()
        return loss.detach()

    good, bad = (jitorch.from_numpy(np.asarray([i])) for i in (1, 7))
    for _ in range(4):
        step(good)
        before = w.grad
        with pytest.raises(errors.TensorIndexError):
            step(bad)
        assert w.grad is (None if clears_first else before)


class Scaled(jitorch.autograd.Function):
    """Its gradient is not that of what it computes."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 5


def test_a_backward_of_its_own_is_used_inside_and_outside() -> None:
    def inside(x):
        x.grad = None
        loss = Scaled.apply(x).sum()
        loss.backward()
        return loss.detach()

    x = jitorch.ones(3, requires_grad=True)
    jitorch.jit(inside, fullgraph=True)(x)
    assert x.grad.tolist() == [5.0] * 3
    outside = jitorch.jit(lambda v: Scaled.apply(v).sum())
    for _ in range(3):
        x = jitorch.ones(3, requires_grad=True)
        if outside.statistics.calls == 0:
            with pytest.warns(RuntimeWarning, match="autograd.Function"):
                outside(x).backward()
        else:
            outside(x).backward()
        assert x.grad.tolist() == [5.0] * 3


def test_stored_objects_have_an_identity() -> None:
    stored = [jitorch.ones(2), jitorch.full((2,), 2.0)]
    where = {id(t): i for i, t in enumerate(stored)}

    @jitorch.jit(fullgraph=True)
    def chosen(x):
        return sum(x[where[id(t)]] * t for t in stored)

    assert chosen(jitorch.tensor([3.0, 4.0])).tolist() == [11, 11]
    stored[1] = jitorch.full((2,), 5.0)
    where[id(stored[1])] = 0
    assert chosen(jitorch.tensor([3.0, 4.0])).tolist() == [18, 18]


def test_an_argument_has_an_identity_until_another_comes() -> None:
    first = jitorch.ones(2)

    @jitorch.jit
    def is_first(x):
        return x * 2 if id(x) == id(first) else x

    assert [is_first(x).tolist() for x in (first, first)] == [[2, 2], [2, 2]]
    with pytest.warns(RuntimeWarning, match="id\\(\\) of arg0, which is another object from call to call"):
        assert is_first(jitorch.zeros(2)).tolist() == [0, 0]


def test_a_thousand_operations_in_a_row_compile() -> None:
    def long(x):
        y = x
        for scale in SCALES:
            y = y * scale + x
        return y

    x = jitorch.tensor([1.0, -2.0]).requires_grad_()
    compiled = jitorch.jit(long, fullgraph=True)
    expected = long(x)
    np.testing.assert_allclose(compiled(x).detach().numpy(), expected.detach().numpy(), rtol=1e-5)
    compiled(x).sum().backward()
    (wanted,) = jitorch.autograd.grad(expected.sum(), x)
    np.testing.assert_allclose(x.grad.numpy(), wanted.numpy(), rtol=1e-5)


SCALES = tuple(0.5 + i % 7 / 16 for i in range(500))

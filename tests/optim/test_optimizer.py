import pytest
import torch

import jitorch
from jitorch import nn, optim
from jitorch.errors import ArgumentError, StateDictError, UnsupportedError, ValueRangeError
from tests.nn.oracle import array, numbers, ours


def parameter(value=1.0):
    return nn.Parameter(jitorch.zeros(2).fill_(value))


def test_groups_take_defaults():
    a, b = parameter(), parameter()
    optimizer = optim.SGD([{"params": a, "lr": 0.5}, {"params": [b], "momentum": 0.9}], lr=0.1)
    first, second = optimizer.param_groups
    assert first["params"][0] is a
    assert (first["lr"], first["momentum"]) == (0.5, 0)
    assert (second["lr"], second["momentum"]) == (0.1, 0.9)
    assert list(optimizer.state[b]) == ["momentum_buffer"]
    assert optimizer.defaults["lr"] == 0.1


def test_the_given_group_stays_as_it_is():
    group = {"params": [parameter()]}
    optim.SGD([group], lr=0.1)
    assert list(group) == ["params"]


def test_named_parameters():
    layer = nn.Linear(2, 1)
    optimizer = optim.Adam(layer.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueRangeError, match="names"):
        optim.SGD([("weight", layer.weight), layer.bias])


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (lambda: parameter(), ArgumentError),
        (lambda: 3, ArgumentError),
        (list, ValueRangeError),
        (lambda: [1.0], ArgumentError),
        (lambda: [parameter() * 2], ValueRangeError),
        (lambda: [parameter()] * 2, ValueRangeError),
        (lambda: [{"params": {parameter()}}], ArgumentError),
    ],
)
def test_what_cannot_be_optimised(params, error):
    with pytest.raises(error):
        optim.SGD(params(), lr=0.1)


def test_no_parameter_in_two_groups():
    shared = parameter()
    optimizer = optim.SGD([shared], lr=0.1)
    with pytest.raises(ValueRangeError):
        optimizer.add_param_group({"params": [parameter(), shared]})
    assert len(optimizer.param_groups) == 1
    with pytest.raises(ArgumentError):
        optimizer.add_param_group([parameter()])
    optimizer.add_param_group({"params": parameter(), "lr": 1.0})
    assert optimizer.param_groups[1]["lr"] == 1.0


def test_zero_grad():
    p = parameter()
    optimizer = optim.SGD([p, parameter()], lr=0.1)
    (p * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert array(p.grad).tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_closure_runs_with_gradients(name):
    p = parameter(3.0)
    optimizer = getattr(optim, name)([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with jitorch.no_grad():
        assert float(optimizer.step(closure)) == 18.0
    assert (array(p) < 3).all()
    assert optimizer.step() is None


def test_parameters_without_gradient_stay():
    p, still = parameter(), parameter()
    optimizer = optim.Adam([p, still], weight_decay=0.1)
    p.sum().backward()
    optimizer.step()
    assert array(still).tolist() == [1.0, 1.0]
    assert float(optimizer.state[still]["step"]) == 0
    assert float(optimizer.state[p]["step"]) == 1


def test_an_optimiser_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with jitorch.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        state = self.state[p]
                        state["count"] = state.get("count", 0) + 1
                        p.sub_(p.grad.sign() * group["lr"])

    p = parameter()
    optimizer = Signs([p], lr=0.25)
    (p * 5).sum().backward()
    optimizer.step()
    optimizer.step()
    assert array(p).tolist() == [0.5, 0.5]
    assert optimizer.state[p] == {"count": 2}
    with pytest.raises(UnsupportedError):
        optim.Optimizer([p], {}).step()


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})],
)
def test_repr_is_pytorchs(name, options):
    mine = getattr(optim, name)([parameter()], **options)
    reference = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))], **options)
    assert repr(mine) == repr(reference)


# ---- state dicts


def trained(lib, name, steps, **options):
    """Parameters and optimiser after some steps with fixed gradients."""
    params = [lib.nn.Parameter(lib.ones(3)), lib.nn.Parameter(lib.ones(2, 2))]
    optimizer = getattr(lib.optim, name)([{"params": params[:1]}, {"params": params[1:], "lr": 0.3}], **options)
    run(lib, params, optimizer, 0, steps)
    return params, optimizer


def run(lib, params, optimizer, first, last):
    for seed in range(first, last):
        for p in params:
            p.grad = lib.tensor(numbers(*p.shape, seed=seed))
        optimizer.step()


CASES = [
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    ("SGD", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_layout_of_the_state_dict(name, options):
    mine = trained(jitorch, name, 2, **options)[1].state_dict()
    reference = trained(torch, name, 2, **options)[1].state_dict()
    assert mine["param_groups"] == reference["param_groups"]
    assert list(mine["param_groups"][0]) == list(reference["param_groups"][0])
    assert {n: set(s) for n, s in mine["state"].items()} == {n: set(s) for n, s in reference["state"].items()}
    for number, state in reference["state"].items():
        for key, value in state.items():
            assert tuple(mine["state"][number][key].shape) == tuple(value.shape)
            assert mine["state"][number][key].dtype == jitorch.float32


@pytest.mark.parametrize(("name", "options"), CASES)
def test_going_on_from_pytorchs_state(name, options):
    """Two steps there, two more here: as four steps there."""
    params, optimizer = trained(jitorch, name, 0, **options)
    their_params, reference = trained(torch, name, 2, **options)
    state = reference.state_dict()
    state["state"] = {n: {k: ours(array(v)) for k, v in s.items()} for n, s in state["state"].items()}
    optimizer.load_state_dict(state)
    with jitorch.no_grad():
        for p, q in zip(params, their_params, strict=True):
            p.copy_(ours(array(q)))
    run(jitorch, params, optimizer, 2, 4)
    run(torch, their_params, reference, 2, 4)
    for p, q in zip(params, their_params, strict=True):
        assert array(p) == pytest.approx(array(q), rel=2e-6, abs=2e-6)


def test_loading_copies_and_converts():
    params, optimizer = trained(jitorch, "Adam", 1)
    state = optimizer.state_dict()
    assert state["state"][0]["exp_avg"] is optimizer.state[params[0]]["exp_avg"]
    state["param_groups"][0]["lr"] = 7.0
    doubles = [nn.Parameter(jitorch.ones(3, dtype=jitorch.float64)), nn.Parameter(jitorch.ones(2, 2))]
    other = optim.Adam([{"params": doubles[:1]}, {"params": doubles[1:]}])
    other.load_state_dict(state)
    loaded = other.state[doubles[0]]
    assert loaded["exp_avg"].dtype == jitorch.float64
    assert loaded["step"].dtype == jitorch.float32
    assert other.param_groups[0]["lr"] == 7.0
    assert other.param_groups[1]["lr"] == 0.3
    other.state[doubles[1]]["exp_avg"].fill_(0.0)
    assert (array(optimizer.state[params[1]]["exp_avg"]) != 0).any()


def test_loading_an_early_state_dict():
    """PyTorch's is empty before the first step."""
    params, optimizer = trained(jitorch, "Adam", 1)
    optimizer.load_state_dict({"state": {}, "param_groups": optimizer.state_dict()["param_groups"]})
    assert float(optimizer.state[params[0]]["step"]) == 0
    assert (array(optimizer.state[params[0]]["exp_avg"]) == 0).all()


def test_state_dicts_that_do_not_fit():
    optimizer = optim.SGD([parameter()], lr=0.1)
    two_groups = optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=0.1).state_dict()
    two_parameters = optim.SGD([parameter(), parameter()], lr=0.9).state_dict()
    for state in (two_groups, two_parameters):
        with pytest.raises(StateDictError):
            optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.1

import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import StateDictError
from tests.nn.oracle import array, numbers, ours


def model(lib):
    return lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3), lib.nn.Linear(3, 1))


def filled(module, value):
    with jitorch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(value)
    return module


def test_round_trip():
    source, target = filled(model(jitorch), 2), model(jitorch)
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == []
    assert result.unexpected_keys == []
    assert repr(result) == "<All keys matched successfully>"
    assert all((array(v) == 2).all() for v in target.state_dict().values())


def test_shares_storage_and_is_detached():
    module = nn.Linear(2, 2)
    state = module.state_dict()
    state["weight"].fill_(3.0)
    assert array(module.weight).tolist() == [[3.0, 3.0]] * 2
    assert not state["weight"].requires_grad
    assert module.state_dict(keep_vars=True)["weight"] is module.weight


def test_prefix_and_destination():
    state = {"first": 1}
    assert nn.Linear(2, 2).state_dict(destination=state, prefix="m.") is state
    assert list(state) == ["first", "m.weight", "m.bias"]


def messages(module, state, **options):
    """What stands in the error, one problem a line."""
    with pytest.raises(RuntimeError) as caught:
        module.load_state_dict(state, **options)
    return [line.strip() for line in str(caught.value).splitlines()]


def test_messages_are_pytorchs():
    mine, reference = model(jitorch), model(torch)
    for lib, module in ((jitorch, mine), (torch, reference)):
        state = module.state_dict()
        del state["0.bias"], state["1.running_mean"]
        state["more"] = lib.ones(1)
        state["other.more"] = lib.ones(1)
        if lib is torch:
            expected = messages(module, state)
        else:
            found = messages(module, state)
    assert found[:3] == expected[:3]


def test_shapes_are_checked_without_strict_too():
    mine = filled(model(jitorch), 1)
    state = model(jitorch).state_dict()
    state["2.weight"] = jitorch.zeros(2, 3)
    found = messages(mine, state, strict=False)
    assert found[0] == "Error(s) in loading state_dict for Sequential:"
    assert found[1].startswith("size mismatch for 2.weight: copying a param with shape")
    assert all((array(v) == 1).all() for v in mine.state_dict().values()), "a bad state dict changes nothing"


def test_values_must_be_tensors():
    mine = model(jitorch)
    state = mine.state_dict()
    state["0.bias"] = [1.0, 2.0, 3.0]
    with pytest.raises(StateDictError, match="expected a Tensor"):
        mine.load_state_dict(state)
    with pytest.raises(TypeError):
        mine.load_state_dict([("0.bias", 1)])


def test_not_strict():
    mine = model(jitorch)
    result = mine.load_state_dict({"0.bias": jitorch.ones(3), "more": jitorch.ones(1)}, strict=False)
    assert array(mine[0].bias).tolist() == [1.0] * 3
    assert "0.weight" in result.missing_keys
    assert result.unexpected_keys == ["more"]
    assert "unexpected_keys=['more']" in repr(result)


def test_copy_converts_the_dtype():
    mine = nn.Linear(2, 1)
    values = numbers(1, 2).astype("float64")
    mine.load_state_dict({"weight": ours(values), "bias": ours(numbers(1))})
    assert mine.weight.dtype == jitorch.float32
    assert array(mine.weight).tolist() == values.astype("float32").tolist()


def test_assign_takes_the_tensors_themselves():
    mine = model(jitorch).requires_grad_(False)
    state = {name: tensor.clone() for name, tensor in model(jitorch).double().state_dict().items()}
    mine.load_state_dict(state, assign=True)
    assert mine[0].weight.dtype == jitorch.float64
    assert isinstance(mine[0].weight, nn.Parameter)
    assert not mine[0].weight.requires_grad
    assert mine[1].running_mean is state["1.running_mean"]


def test_extra_state():
    def build(base):
        class Counting(base):
            def __init__(self):
                super().__init__()
                self.count = 0
                self.child = (nn if base is nn.Module else torch.nn).Linear(1, 1)

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        return Counting()

    mine, reference = build(nn.Module), build(torch.nn.Module)
    assert list(mine.state_dict()) == list(reference.state_dict())
    mine.count = 7
    other = build(nn.Module)
    other.load_state_dict(mine.state_dict())
    assert other.count == 7
    state = mine.state_dict()
    del state["_extra_state"]
    with pytest.raises(StateDictError, match="_extra_state"):
        other.load_state_dict(state)

from collections import OrderedDict

import pytest
import torch

import jitorch
from jitorch import nn
from tests.nn.oracle import array, check_module, numbers


def kinds(modules):
    return [type(module).__name__ for module in modules]


def small(lib):
    return [lib.nn.Linear(3, 4), lib.nn.ReLU(), lib.nn.Linear(4, 2)]


# ---- Sequential


def test_sequential_agrees():
    check_module(nn.Sequential(*small(jitorch)), torch.nn.Sequential(*small(torch)), numbers(5, 3))


def test_sequential_of_names():
    def build(lib):
        return lib.nn.Sequential(OrderedDict(zip(["a", "act", "b"], small(lib), strict=True)))

    check_module(build(jitorch), build(torch), numbers(5, 3))
    assert build(jitorch).act is not None
    assert list(build(jitorch)[1:].state_dict()) == ["b.weight", "b.bias"]


def test_empty_containers():
    assert repr(nn.Sequential()) == repr(torch.nn.Sequential())
    assert repr(nn.ModuleList()) == repr(torch.nn.ModuleList())
    assert repr(nn.ModuleDict()) == repr(torch.nn.ModuleDict())
    assert nn.Sequential()(3) == 3


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_positions(kind):
    modules = small(jitorch)
    container = nn.Sequential(*modules) if kind == "Sequential" else nn.ModuleList(modules)
    assert len(container) == 3
    assert container[0] is modules[0]
    assert container[-1] is modules[2]
    assert kinds(container[:2]) == ["Linear", "ReLU"]
    assert type(container[1:]) is type(container)
    for index in (3, -4):
        with pytest.raises(IndexError):
            container[index]
    container[-1] = nn.Tanh()
    assert kinds(container) == ["Linear", "ReLU", "Tanh"]
    del container[0]
    assert list(container._modules) == ["0", "1"]
    assert kinds(container) == ["ReLU", "Tanh"]
    container.insert(1, nn.Sigmoid())
    assert kinds(container) == ["ReLU", "Sigmoid", "Tanh"]
    assert type(container.pop(1)) is nn.Sigmoid
    assert container.append(nn.GELU()) is container
    assert container.extend([nn.SiLU()]) is container
    assert kinds(container) == ["ReLU", "Tanh", "GELU", "SiLU"]
    assert kinds(container + container) == 2 * kinds(container)
    container += container
    assert len(container) == 8
    del container[1:]
    assert kinds(container) == ["ReLU"]


def test_sequential_checks_what_it_takes():
    container = nn.Sequential(nn.ReLU())
    with pytest.raises(TypeError):
        container.insert(0, "relu")
    with pytest.raises(IndexError):
        container.insert(5, nn.ReLU())
    with pytest.raises(TypeError):
        container + nn.ReLU()
    with pytest.raises(TypeError):
        container += [nn.ReLU()]
    with pytest.raises(TypeError):
        nn.Sequential("relu")


# ---- ModuleList, ModuleDict


def test_module_list_folds_equal_lines():
    def build(lib):
        layers = [lib.nn.Linear(2, 2), lib.nn.Linear(2, 2), lib.nn.ReLU(), lib.nn.Sequential(lib.nn.ReLU())]
        return lib.nn.ModuleList(layers)

    assert repr(build(jitorch)) == repr(build(torch))
    assert list(build(jitorch).state_dict()) == list(build(torch).state_dict())


def test_module_dict():
    def build(lib):
        table = lib.nn.ModuleDict({"b": lib.nn.Linear(2, 2), "a": lib.nn.ReLU()})
        table.update([("c", lib.nn.Tanh())])
        table["d"] = lib.nn.Sigmoid()
        del table["a"]
        return table

    mine, reference = build(jitorch), build(torch)
    assert repr(mine) == repr(reference)
    assert list(mine) == list(mine.keys()) == list(reference)
    assert list(mine.state_dict()) == list(reference.state_dict())
    assert kinds(mine.values()) == kinds(module for _, module in mine.items()) == kinds(reference.values())
    assert "b" in mine
    assert "a" not in mine
    assert type(mine.pop("c")) is nn.Tanh
    assert len(mine) == 2
    mine.clear()
    assert len(mine) == 0
    with pytest.raises(KeyError):
        mine["b"]


# ---- ParameterList, ParameterDict


def test_parameter_list():
    def build(lib):
        return lib.nn.ParameterList([lib.ones(2, 3), 3, lib.nn.Parameter(lib.ones(2))])

    mine, reference = build(jitorch), build(torch)
    assert repr(mine).replace("jitorch", "torch") == repr(reference)
    assert list(mine.state_dict()) == list(reference.state_dict())
    assert len(list(mine.parameters())) == 2
    assert isinstance(mine[0], nn.Parameter)
    assert mine[1] == 3
    mine.append(jitorch.zeros(1))
    mine += [jitorch.zeros(1)]
    mine[1] = jitorch.zeros(4)
    assert len(mine) == 5
    assert [isinstance(value, nn.Parameter) for value in mine] == [True] * 5
    assert type(mine[1:3]) is nn.ParameterList
    assert len(mine[1:3]) == 2
    with pytest.raises(IndexError):
        mine[5]


def test_parameter_dict():
    mine = nn.ParameterDict({"b": jitorch.ones(2), "a": 3})
    reference = torch.nn.ParameterDict({"b": torch.ones(2), "a": 3})
    assert list(mine) == list(mine.keys()) == list(reference.keys())
    assert list(mine.state_dict()) == list(reference.state_dict())
    ordered = OrderedDict({"b": jitorch.ones(2), "a": 3})
    assert list(nn.ParameterDict(ordered)) == list(nn.ParameterDict(nn.ParameterDict(ordered))) == ["b", "a"]
    assert list(nn.ParameterDict([("b", 1), ("a", 3)])) == ["b", "a"]
    assert "(a): Object of type: int" in repr(mine)
    assert "(b): Parameter containing: [" in repr(mine)
    mine["c"] = jitorch.zeros(1)
    assert isinstance(mine["c"], nn.Parameter)
    assert array(mine.pop("b")).tolist() == [1.0, 1.0]
    assert mine.get("b") is None
    assert mine.get("a") == 3
    assert "a" in mine
    assert dict(mine.items()).keys() == {"a", "c"}
    assert next(iter(mine.values())) == 3
    mine.clear()
    assert len(mine) == 0
    with pytest.raises(KeyError):
        mine["a"]

"""What a script that comes from a file may name."""

from __future__ import annotations

import pytest

from jitorch.errors import ParseError
from jitorch.frontend.script import tables
from jitorch.frontend.script.ops import SCRIPT_OPS
from jitorch.frontend.script.program import Class, Function, Member, Parameter, Program
from jitorch.frontend.script.verify import verify_program
from jitorch.ir.graph import Graph
from jitorch.ir.types import INT, NONE, TENSOR


def program(body: str, name: str = "f", parameter: str = "x") -> Program:
    graph = Graph.parse(f"graph @f(%x: tensor) {{\n{body}\nreturn\n}}", SCRIPT_OPS)
    function = Function(name, (Parameter(parameter, TENSOR),), NONE, graph)
    return Program(functions={name: function})


X = '%0: tensor = local(name="x")\n'


def test_what_the_compiler_writes_passes():
    verify_program(program(X + '%1: tensor = call(%0, name="torch.relu")\nfinish(%1)'))


@pytest.mark.parametrize(
    "body",
    [
        X + '%1: any = call(%0, name="eval")',
        X + '%1: any = call(%0, name="open")',
        X + '%1: any = call(%0, name="torch.jit.load")',
        X + '%1: any = call(%0, name="torch.nn.Linear")',
        X + '%1: any = call(%0, name="math.sin.__self__")',
        X + '%1: any = attribute(%0, name="__class__")',
        X + '%1: any = attribute(%0, name="_array")',
        X + '%1: any = method(%0, name="numpy")',
        X + '%1: any = method(%0, name="register_hook")',
        X + '%1: any = method(%0, name="a.b")',
        X + '%1: any = method(%0, name="unheard_of")',
        X + '%1: any = method(%0, name="__len__")',
        X + '%1: any = attribute(%0, name="unheard_of")',
        X + '%1: any = attribute(%0, name="forward")',
        X + '%1: any = attribute(%0, name="append")',
        X + 'set_attribute(%0, %0, name="__dict__")',
        '%0: any = named(name="os.environ")',
        '%0: any = local(name="torch")',
        '%0: any = local(name="__builtins__")',
        X + 'assign(%0, target="math")',
        X + 'assign(%0, target=("a", "*b", "*c"))',
        X + 'assign(%0, target="import")',
        '%0: str = constant(value="{0.__class__}")\n%1: str = method(%0, %0, name="format")',
        X + '%1: any = method(%0, %0, name="format")',
        X + 'raise(%0, name="SystemExit")',
        X + "with(%0, body=graph @body() {\nreturn\n})",
        X + '%1: any = operator(%0, name="add")',
        X + '%1: any = call(%0, name="print", keywords=("a b",))',
        "break()",
        "finish(%x)",
    ],
)
def test_what_no_script_has_is_refused(body):
    with pytest.raises(ParseError, match="that no script has"):
        verify_program(program(body))


@pytest.mark.parametrize("name", ["torch", "list", "enum", "__f__", "class", "", "a b", "dataclasses"])
def test_names_of_functions(name):
    with pytest.raises(ParseError, match="that no script has"):
        verify_program(program(X, name=name))


def test_defaults_are_of_enums_of_the_program():
    known = Class("Mode", "enum", {"value": INT}, constants={"A": 1})
    for kind, member, fine in (("Mode", "A", True), ("Mode", "B", False), ("Other", "A", False)):
        made = Function("f", (Parameter("m", known.type, True, Member(kind, member)),), NONE)
        checked = Program(functions={"f": made}, classes={"Mode": known})
        if fine:
            verify_program(checked)
        else:
            with pytest.raises(ParseError, match="a default"):
                verify_program(checked)


def test_bases_stand_before_the_classes_that_have_them():
    a, b = Class("A", "class", bases=("B",)), Class("B", "class")
    verify_program(Program(classes={"B": b, "A": a}))
    with pytest.raises(ParseError, match="a base class"):
        verify_program(Program(classes={"A": a, "B": b}))


@pytest.mark.parametrize("name", ["shape", "forward", "_weight", "append", "relu_", "values", "training"])
def test_members_that_scripts_use(name):
    assert tables.is_member(name)


@pytest.mark.parametrize(
    "name",
    [
        "__dict__",
        "_parameters",
        "_storage",
        "numpy",
        "save",
        "mro",
        "gi_frame",
        "f_builtins",
        "format_map",
        "f_globals!",
    ],
)
def test_members_that_scripts_never_use(name):
    assert not tables.is_member(name)


def test_methods_are_called_and_not_read():
    made = program(X + '%1: any = attribute(%0, name="run")')
    made.classes["Net"] = Class("Net", "module", {"run": TENSOR, "w": TENSOR})
    verify_program(made)
    made.classes["Net"].methods["run"] = Function("Net.run", (Parameter("self", TENSOR),), NONE)
    with pytest.raises(ParseError, match="an attribute"):
        verify_program(made)


def test_fields_do_not_lead_to_the_interpreter():
    made = program(X + '%1: any = attribute(%0, name="gi_frame")')
    made.classes["Net"] = Class("Net", "class", {"gi_frame": TENSOR})
    with pytest.raises(ParseError, match="that no script has"):
        verify_program(made)

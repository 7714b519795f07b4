"""Where an error points."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
from pathlib import Path

import jitorch
from jitorch import errors


def test_errors_point_past_the_code_of_a_plugin(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "_internal", errors._internal)
    plugin = tmp_path / "plugin.py"
    plugin.write_text("def look(find):\n    return find()\n", encoding="utf-8")
    namespace: dict = {}
    exec(compile(plugin.read_text(encoding="utf-8"), str(plugin), "exec"), namespace)

    def here():
        return namespace["look"](errors.user_location)

    before = here()
    assert before is not None and before.file == str(plugin)
    errors.mark_internal(str(plugin))
    errors.mark_internal(str(plugin))
    after = here()
    assert after is not None and after.file == __file__
    assert sum(str(tmp_path) in folder for folder in errors._internal) == 1


def test_errors_point_past_cached_properties_and_context_managers():
    class Holder:
        @functools.cached_property
        def place(self):
            return inside()

    @contextlib.contextmanager
    def block():
        yield inside()

    inside = {"find": errors.user_location}
    exec(compile("def inside(): return find()", errors.__file__, "exec"), inside)
    inside = inside["inside"]
    # The test's own functions are the user's here; what is looked for is the frame that the library adds.
    assert errors.is_internal(functools.cached_property.__get__.__code__)
    assert errors.is_internal(contextlib._GeneratorContextManager.__enter__.__code__)
    place = Holder().place
    with block() as other:
        assert place is not None and other is not None
        assert place.file == other.file == __file__


IDENTIFIERS = {
    "JT0000": "JitorchError", "JT0001": "UserError", "JT0100": "ShapeError", "JT0200": "DTypeError",
    "JT0300": "DeviceError", "JT0400": "ArgumentError", "JT0500": "ValueRangeError", "JT0600": "TensorIndexError",
    "JT0700": "AutogradError", "JT0800": "StateDictError", "JT0900": "LinAlgError", "JT1000": "StagingError",
    "JT1001": "data", "JT1002": "effect", "JT1003": "unknown-call", "JT1004": "source", "JT1005": "syntax",
    "JT1006": "ignored", "JT1007": "iterator", "JT1008": "numpy", "JT1009": "object", "JT1010": "escape",
    "JT1011": "join", "JT1012": "loop", "JT1013": "raises", "JT1014": "branch-write", "JT1015": "gradient-mode",
    "JT1016": "alias", "JT1017": "outside-tensor", "JT1018": "side-effect", "JT1019": "result",
    "JT1100": "CompileError", "JT1101": "type-mismatch", "JT1102": "undefined", "JT1103": "unsupported",
    "JT1104": "unknown-member", "JT1105": "arguments", "JT1106": "annotation", "JT1107": "no-source",
    "JT1108": "not-saveable", "JT1200": "TracingCheckError", "JT1300": "UnsupportedError", "JT1400": "BackendError",
    "JT1500": "PluginError", "JT1600": "MissingExtraError", "JT1700": "ParseError", "JT1800": "SavedModelError",
    "JT1900": "KernelError", "JT2000": "CheckFailed", "JT2100": "VmapError", "JT9000": "CompilerBug",
    "JT9100": "VerifyError",
}  # fmt: skip
"""What each identifier stands for, for ever: entries are added, and neither changed nor removed."""


def test_identifiers_stay_what_they_are():
    classes = {
        value.identifier: name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.JitorchError)
    }
    kinds = {n: k for k, n in (errors.STAGING | errors.COMPILE).items()}
    assert len(classes) + len(kinds) == len(classes | kinds)
    assert (classes | kinds).items() <= IDENTIFIERS.items()


def reasons_given() -> dict[str, str]:
    """The reason of every refusal in the source, by its place; "" where it is no literal."""
    found = {}
    folder = Path(jitorch.__file__).parent / "frontend"
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("Refuse", "AllRaise", "refuse", "refuse_changing"):
                reason = node.args[0]
                value = reason.value if isinstance(reason, ast.Constant) else ""
                found[f"{path.name}:{node.lineno}"] = str(value)
    return found


def test_every_refusal_has_a_reason_that_is_known():
    given = reasons_given()
    passed_on = {place for place, reason in given.items() if not reason}
    assert {place.partition(":")[0] for place in passed_on} == {"state.py"}
    assert {reason for reason in given.values() if reason} | {"syntax", "result"} == set(errors.STAGING)

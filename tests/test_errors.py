"""Where an error points."""

from __future__ import annotations

import contextlib
import functools

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

"""Where an error points."""

from __future__ import annotations

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

from __future__ import annotations

from jitorch.nn import functional
from jitorch.ops import PUBLIC

PREFIX = "nn.functional."


def test_every_published_function_is_exported() -> None:
    published = {key.removeprefix(PREFIX): entry for key, entry in PUBLIC.items() if key.startswith(PREFIX)}
    missing = [f'{name} = PUBLIC["{PREFIX}{name}"]' for name in sorted(published) if not hasattr(functional, name)]
    assert not missing, "add to nn/functional.py:\n" + "\n".join(missing)
    assert functional.__all__ == sorted(published)
    assert all(getattr(functional, name) is entry for name, entry in published.items())

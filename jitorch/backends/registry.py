"""Which backends there are.

jitorch's own are entry points like any plugin's, so the route cannot rot.  A plugin is imported when
its backend is first asked for; one that fails to load breaks nobody else, and two that claim one
name are an error that names both, for those who ask for that name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Any

from jitorch import plugins
from jitorch.backends.base import API, MEMBERS, Available, Backend, Unavailable
from jitorch.errors import BackendError, PluginError

GROUP = "jitorch.backends"
OWN = {
    "reference": "jitorch.backends.reference:backend",
    "cpu": "jitorch.backends.cpu:backend",
    "cuda": "jitorch.backends.cuda:backend",
}
"""Our own, for a source tree that was not installed."""

_registered: dict[str, Backend] = {}
_loaded: dict[str, Backend] = {}
_default: ContextVar[str] = ContextVar("default_backend", default="cpu")


def _points() -> dict[str, list[plugins.Claim]]:
    """For each name that is not one of ours who claims it; says so where a package claims one of ours."""
    found = plugins.claims(GROUP)
    for name, value in OWN.items():
        strangers = [str(claim) for claim in found.pop(name, []) if claim.value != value]
        if strangers:
            warnings.warn(
                f"{' and '.join(strangers)} provides a backend named {name!r}; jitorch's own is used",
                RuntimeWarning,
                stacklevel=4,
            )
    return found


def register_backend(backend: Any, *, replace: bool = False) -> None:
    """Make ``backend`` available in this process under its name, as an entry point would.

    ``replace``: the name may be taken, even by one of ours; `unregister_backend` gives it back.
    """
    missing = [m for m in MEMBERS if not hasattr(backend, m)]
    if missing:
        raise PluginError(
            "the object is no backend", expected=", ".join(MEMBERS), actual=f"without {', '.join(missing)}"
        )
    name = backend.name
    if not replace and (name in OWN or name in _registered or name in _points()):
        raise PluginError(
            f"a backend named {name!r} is there already", hint="choose another name, or pass replace=True"
        )
    _check_api(name, backend)
    _registered[name] = backend


def unregister_backend(name: str) -> None:
    """Undo `register_backend`."""
    if _registered.pop(name, None) is None:
        raise PluginError(f"no backend named {name!r} was registered by hand", actual=sorted(_registered))


def _check_api(name: str, backend: Backend) -> None:
    if backend.api[0] != API[0] or backend.api[1] > API[1]:
        raise PluginError(
            f"backend {name!r} was written for another version of the contract", expected=f"{API[0]}.x, x <= {API[1]}",
            actual=".".join(map(str, backend.api)), hint="install a matching version of the plugin or of jitorch",
        )  # fmt: skip


def get(name: str) -> Backend:
    """The backend called ``name``, loaded if need be."""
    found = _registered.get(name) or _loaded.get(name)
    if found is not None:
        return found
    if name in OWN:  # without a look at what is installed: no package can switch ours off, or slow them down
        claim = plugins.Claim("jitorch", OWN[name])
    else:
        points = _points()
        if name not in points:
            expected = ", ".join(sorted({*OWN, *points, *_registered}))
            raise BackendError(f"unknown backend {name!r}", expected=expected, actual=name)
        claim = plugins.only(GROUP, name, points[name])
    backend = _checked(name, claim.owner, plugins.load(GROUP, name, claim))
    _loaded[name] = backend
    return backend


def _checked(name: str, owner: str, backend: Any) -> Backend:
    missing = [m for m in MEMBERS if not hasattr(backend, m)]
    if missing:
        raise PluginError(f"backend {name!r} of package {owner!r} lacks {', '.join(missing)}")
    if backend.name != name:
        raise PluginError(
            f"the entry point of package {owner!r} and its backend have different names",
            expected=name,
            actual=backend.name,
        )
    _check_api(name, backend)
    return backend


def names() -> Iterator[str]:
    """Every name, ours first."""
    yield from dict.fromkeys([*OWN, *sorted(_points()), *_registered])


def list_backends() -> dict[str, Available | Unavailable]:
    """Each backend's name with what its ``probe()`` says."""
    result: dict[str, Available | Unavailable] = {}
    for name in names():
        try:
            result[name] = _probe(get(name))
        except PluginError as error:
            result[name] = Unavailable(f"{error.what}: {error.actual}" if error.actual else error.what)
    return result


def _probe(backend: Backend) -> Available | Unavailable:
    try:
        return backend.probe()
    except Exception as error:  # noqa: BLE001  (a plugin that breaks its promise not to raise harms nobody else)
        return Unavailable(f"its probe raised {type(error).__name__}: {error}")


class set_default_backend:
    """Use a backend from here on, or for a ``with`` block, in this context."""

    def __init__(self, name: str):
        get(name)
        self._token: Token[str] = _default.set(name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        _default.reset(self._token)


def default_backend() -> str:
    return _default.get()


default_variable = _default
"""The context variable behind `default_backend`, for machine code that reads it."""

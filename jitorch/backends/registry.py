"""Which backends there are.

jitorch's own are entry points like any plugin's, so the route cannot rot.  A plugin is imported when
its backend is first asked for; one that fails to load breaks nobody else, and two that claim one
name are an error that names both, for those who ask for that name.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextvars import ContextVar, Token
from importlib import metadata
from typing import Any

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


def _owner(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _points() -> dict[str, list[tuple[str, str]]]:
    """For each name the (owner, ``module:attribute``) pairs that claim it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for point in metadata.entry_points(group=GROUP):
        claims = found.setdefault(point.name, [])
        claim = (_owner(point), point.value)
        if claim not in claims:
            claims.append(claim)
    for name, value in OWN.items():
        claims = found.setdefault(name, [])
        if all(claimed != value for _, claimed in claims):
            claims.append(("jitorch", value))
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
    if not replace and (name in _registered or name in _points()):
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
    claims = _points().get(name)
    if not claims:
        raise BackendError(
            f"unknown backend {name!r}", expected=", ".join(sorted({*_points(), *_registered})), actual=name
        )
    owner, value = _only(name, claims)
    backend = _load(name, owner, value)
    _loaded[name] = backend
    return backend


def _only(name: str, claims: list[tuple[str, str]]) -> tuple[str, str]:
    """The one claim to a name; ours stand against any other, so that no package can switch them off."""
    if len(claims) == 1:
        return claims[0]
    owners = " and ".join(f"{owner} ({value})" for owner, value in claims)
    ours = next((claim for claim in claims if claim[1] == OWN.get(name)), None)
    if ours is None:
        raise PluginError(f"two packages provide a backend named {name!r}", actual=owners, hint="uninstall one of them")
    warnings.warn(
        f"a backend named {name!r} is provided by {owners}; jitorch's own is used", RuntimeWarning, stacklevel=3
    )
    return ours


def _load(name: str, owner: str, value: str) -> Backend:
    module, _, attribute = value.partition(":")
    try:
        backend = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise PluginError(
            f"backend {name!r} of package {owner!r} could not be loaded", actual=f"{type(error).__name__}: {error}",
            hint=f"reinstall or uninstall {owner}",
        ) from error  # fmt: skip
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

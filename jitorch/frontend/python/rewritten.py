"""Rewritten code objects: made once for each code object, kept in the process, and as bytes.

The key of a code object is a digest of all that it does (`code_digest`), so it holds across
processes and changes whenever the function is edited.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
import types
from collections.abc import Callable
from typing import Any

from jitorch.errors import CompilerBug
from jitorch.frontend.python import control, rewrite, source

# Change this whenever rewriting changes: it is part of every key.
VERSION = 11

_rewritten: dict[int, tuple[types.CodeType, types.CodeType]] = {}
_ours: dict[int, types.CodeType] = {}
_digests: dict[int, tuple[types.CodeType, str]] = {}


class Store:
    """Where rewritten code is kept between processes; both functions are set from above.

    ``load(key)`` gives the bytes saved under a key, or None.  They hold code that will be run: load
    only what this user wrote.
    """

    load: Callable[[str], bytes | None] | None = None
    save: Callable[[str, bytes], object] | None = None


store = Store()


def is_rewritten(code: types.CodeType) -> bool:
    """Whether ``code`` already speaks to the protocol."""
    return id(code) in _ours


def rewritten(function: types.FunctionType) -> types.CodeType:
    """The rewritten code of a user's function.

    Its free variables are `rewrite.PROTOCOL` and, where `super` needs it, ``__class__``.
    Raises `source.NoSource` or `rewrite.Unsupported`.
    """
    code = function.__code__
    entry = _rewritten.get(id(code))
    if entry is not None:
        return entry[1]
    result = _load(code)
    if result is None:
        result = _compile(code)
        if store.save is not None:
            store.save(key_of(code), marshal.dumps(result))
    _mark(result)
    _rewritten[id(code)] = code, result
    return result


def key_of(code: types.CodeType) -> str:
    """The key of the rewritten code: source, interpreter and version of the rewriter."""
    return f"{code_digest(code)}-{sys.implementation.cache_tag}-{VERSION}"


def _load(code: types.CodeType) -> types.CodeType | None:
    data = None if store.load is None else store.load(key_of(code))
    if data is None:
        return None
    loaded = marshal.loads(data)
    if not isinstance(loaded, types.CodeType):
        raise CompilerBug("a saved rewriting is not a code object", actual=type(loaded).__name__)
    return loaded


def _compile(code: types.CodeType) -> types.CodeType:
    found = source.find(code)
    name, tree = rewrite.rewrite(found.node, found.class_name, code.co_freevars)
    flags = code.co_flags & source.FUTURE_FLAGS
    module = compile(tree, code.co_filename, "exec", flags=flags, dont_inherit=True)
    new = source.nested(source.nested(module, rewrite.MAKER), name)
    # Under the user's own name (lambdas have none in a ``def``), for tracebacks.
    return _named(new, code.co_name).replace(co_name=code.co_name, co_qualname=code.co_qualname)


def _named(code: types.CodeType, name: str) -> types.CodeType:
    """The code with the bodies in it under the name of the function that they are parts of."""
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            body = constant.co_name.startswith(control.BODY)
            constant = _named(constant, name if body else constant.co_name)
            constant = constant.replace(co_name=name) if body else constant
        constants.append(constant)
    return code.replace(co_consts=tuple(constants))


def is_body(code: types.CodeType) -> bool:
    """Whether the code is a branch or loop body, and not a function of the user's."""
    return is_rewritten(code) and code.co_qualname.rpartition(".")[2].startswith(control.BODY)


def clean_traceback(error: BaseException) -> None:
    """Leave the innermost body of each function in the traceback, as if bodies were no functions."""
    kept: list[types.TracebackType] = []
    found = error.__traceback__
    while found is not None:
        if is_body(found.tb_frame.f_code):
            while kept and not is_rewritten(kept.pop().tb_frame.f_code):
                continue
        kept.append(found)
        found = found.tb_next
    following: types.TracebackType | None = None
    for entry in reversed(kept):
        following = types.TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = following


def _mark(code: types.CodeType) -> None:
    _ours[id(code)] = code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _mark(constant)


def code_digest(code: types.CodeType) -> str:
    """A digest of what a code object does and where it stands: equal in every process."""
    entry = _digests.get(id(code))
    if entry is not None:
        return entry[1]
    digest = hashlib.sha256()
    _update(digest, code)
    text = digest.hexdigest()[:32]
    _digests[id(code)] = code, text
    return text


def _update(digest: Any, code: types.CodeType) -> None:
    parts = (
        code.co_filename, code.co_firstlineno, code.co_name, code.co_flags, code.co_argcount,
        code.co_posonlyargcount, code.co_kwonlyargcount, code.co_names, code.co_varnames, code.co_freevars,
        code.co_cellvars, code.co_code, code.co_linetable, code.co_exceptiontable,
    )  # fmt: skip
    digest.update(repr(parts).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _update(digest, constant)
        elif isinstance(constant, frozenset):  # its order changes between processes
            digest.update(repr(sorted(map(repr, constant))).encode())
        else:
            digest.update(f"{type(constant).__name__} {constant!r}".encode())

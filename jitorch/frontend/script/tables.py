"""The closed tables of what scripts may name: operators, built-ins, methods, attributes, functions of the library."""

from __future__ import annotations

import keyword
import math
import string
import types
from functools import cache
from typing import Any

from jitorch import devices, dtypes
from jitorch.frontend.script.relations import NUMBER
from jitorch.ir.types import (
    ANY,
    BOOL,
    DEVICE,
    DTYPE,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    ListType,
    OptionalType,
    RecordType,
    TupleType,
    Type,
)
from jitorch.ops import PUBLIC
from jitorch.tensor import Tensor

BINARY = {
    "Add": ("add", "+"), "Sub": ("sub", "-"), "Mult": ("mul", "*"), "Div": ("truediv", "/"),
    "FloorDiv": ("floordiv", "//"), "Mod": ("mod", "%"), "Pow": ("pow", "**"), "MatMult": ("matmul", "@"),
    "BitAnd": ("and", "&"), "BitOr": ("or", "|"), "BitXor": ("xor", "^"), "LShift": ("lshift", "<<"),
    "RShift": ("rshift", ">>"),
}  # fmt: skip
UNARY = {"USub": ("neg", "-"), "UAdd": ("pos", "+"), "Invert": ("invert", "~"), "Not": ("not", "not")}
COMPARE = {
    "Eq": ("eq", "=="), "NotEq": ("ne", "!="), "Lt": ("lt", "<"), "LtE": ("le", "<="), "Gt": ("gt", ">"),
    "GtE": ("ge", ">="), "Is": ("is", "is"), "IsNot": ("is_not", "is not"), "In": ("in", "in"),
    "NotIn": ("not_in", "not in"),
}  # fmt: skip
"""The class of a syntax tree: the operator's name in a graph and its symbol."""

EXCEPTIONS = frozenset(
    "Exception ValueError RuntimeError TypeError IndexError KeyError AssertionError NotImplementedError AttributeError "
    "ArithmeticError ZeroDivisionError OverflowError LookupError StopIteration".split()
)

BUILTINS = frozenset(
    "len range enumerate zip reversed sorted min max sum any all abs round int float bool str complex print ord chr "
    "divmod list tuple dict pow hex oct bin repr".split()
)

_MATH_INT = frozenset("floor ceil trunc gcd factorial".split())
_MATH_BOOL = frozenset("isnan isinf isfinite".split())
MATH: dict[str, Type] = {
    name: INT if name in _MATH_INT else BOOL if name in _MATH_BOOL else FLOAT
    for name in (
        "floor ceil trunc gcd factorial isnan isinf isfinite sqrt exp expm1 log log2 log10 log1p sin cos tan asin acos "
        "atan atan2 sinh cosh tanh asinh acosh atanh pow hypot fabs fmod copysign degrees radians erf erfc gamma lgamma"
    ).split()
}
MATH["modf"], MATH["frexp"] = TupleType((FLOAT, FLOAT)), TupleType((FLOAT, INT))

CONSTANTS: dict[str, Type] = dict.fromkeys(("math.pi", "math.e", "math.inf", "math.nan", "math.tau"), FLOAT)
CONSTANTS |= dict.fromkeys(("torch.pi", "torch.e", "torch.inf", "torch.nan"), FLOAT)
CONSTANTS |= {f"torch.{d.name}": DTYPE for d in dtypes.ALL}
CONSTANTS |= {f"torch.{n}": ANY for n in ("strided", "contiguous_format", "preserve_format", "channels_last")}
"""Named values and their types."""

CONTEXTS = frozenset(f"torch.{n}" for n in ("no_grad", "enable_grad", "set_grad_enabled", "inference_mode"))
"""What a ``with`` statement may hold."""

_MODULES = ("nn.functional", "linalg", "fft", "special")
_OTHERS: dict[str, Type] = {
    **dict.fromkeys(CONTEXTS, ANY),
    "torch.device": DEVICE,
    "torch.is_grad_enabled": BOOL,
    "torch.Size": ListType(INT),
    "torch.Generator": ANY,
}


@cache
def public(name: str) -> Any:
    """The op or function of a public name such as ``torch.relu``, or None."""
    if not name.startswith("torch."):
        return None
    found = PUBLIC.get(name.removeprefix("torch."))
    if found is None:
        return None
    inner = name.removeprefix("torch.").rpartition(".")[0]
    return found if inner in _MODULES or (not inner and "torch" in found.places) else None


@cache
def public_names() -> dict[int, str]:
    """The name that scripts use, by the identity of each public op or function."""
    found: dict[int, str] = {}
    for key, entry in PUBLIC.items():
        name = f"torch.{key}"
        if public(name) is entry:
            found.setdefault(id(entry), name)
    return found


def other(name: str) -> Type | None:
    """The result of what is public and no op."""
    return _OTHERS.get(name)


def constant(name: str) -> Any:
    """The value of a named constant."""
    module, _, last = name.partition(".")
    if module == "math":
        return getattr(math, last)
    if CONSTANTS[name] == DTYPE:
        return next(d for d in dtypes.ALL if d.name == last)
    return getattr(math if CONSTANTS[name] == FLOAT else devices, last)


# -- results of functions and methods of tensors

_RESULTS: dict[str, Type] = {
    "Tensor": TENSOR, "tuple[Tensor, ...]": ListType(TENSOR), "list[Tensor]": ListType(TENSOR), "bool": BOOL,
    "int": INT, "None": NONE, "DType": DTYPE, "Device": DEVICE, "Generator": ANY, "float": FLOAT, "str": STR,
    "tuple[Tensor, Tensor]": TupleType((TENSOR, TENSOR)),
    "tuple[Tensor, Tensor | None]": TupleType((TENSOR, OptionalType(TENSOR))),
}  # fmt: skip
_FIELDS = {
    name: fields.split()
    for names, fields in (
        ("sort topk kthvalue cummax cummin mode max min median nanmedian", "values indices"),
        ("aminmax", "min max"), ("qr linalg.qr", "Q R"), ("slogdet linalg.slogdet", "sign logabsdet"),
        ("linalg.eigh linalg.eig", "eigenvalues eigenvectors"), ("linalg.svd", "U S Vh"), ("svd", "U S V"),
        ("linalg.lu_factor", "LU pivots"), ("linalg.cholesky_ex", "L info"), ("linalg.inv_ex", "inverse info"),
        ("linalg.solve_ex", "result info"), ("linalg.lu lu_unpack", "P L U"), ("histogram", "hist bin_edges"),
        ("triangular_solve", "solution cloned_coefficient"),
    )
    for name in names.split()
}  # fmt: skip
_PLAIN_WITHOUT_DIM = frozenset({"max", "min", "median", "nanmedian"})
_SHAPES = frozenset({"broadcast_shapes"})


def fields(name: str) -> RecordType:
    """The result with named fields of a function such as ``sort``."""
    return RecordType(f"torch.return_types.{name}", tuple((field, TENSOR) for field in _FIELDS[name]))


def result(entry: Any, name: str, given: dict[str, Type], values: dict[str, Any]) -> Type:
    """The result of an op or function; ``given`` are the types of its arguments, ``values`` those that are constant."""
    plain = _RESULTS.get(str(entry.signature.return_annotation))
    if plain is not None:
        return plain
    if name in _PLAIN_WITHOUT_DIM:
        others = [t for key, t in given.items() if key != "input"]
        return fields(name) if any(t == INT for t in others) else TENSOR
    if name in _FIELDS:
        return fields(name)
    if "pool" in name:
        return TupleType((TENSOR, TENSOR)) if values.get("return_indices") is True else TENSOR
    if name in ("unique", "unique_consecutive"):
        extra = sum(values.get(flag) is True for flag in ("return_inverse", "return_counts"))
        return TupleType((TENSOR,) * (1 + extra)) if extra else TENSOR
    if name in ("where", "nonzero"):
        return ListType(TENSOR) if values.get("as_tuple") is True or (name == "where" and len(given) == 1) else TENSOR
    if name in _SHAPES:
        return ListType(INT)
    return TENSOR if name.startswith("atleast") else ANY


TENSOR_ATTRIBUTES: dict[str, Type] = {
    "shape": ListType(INT), "dtype": DTYPE, "device": DEVICE, "layout": ANY, "T": TENSOR, "mT": TENSOR, "H": TENSOR,
    "mH": TENSOR, "real": TENSOR, "imag": TENSOR, "data": TENSOR, "grad": OptionalType(TENSOR), "ndim": INT,
    "requires_grad": BOOL, "is_cuda": BOOL, "is_leaf": BOOL, "is_sparse": BOOL, "is_quantized": BOOL, "itemsize": INT,
    "nbytes": INT, "is_meta": BOOL,
}  # fmt: skip
_TENSOR_METHODS: dict[str, Type] = {
    "dim": INT, "ndimension": INT, "numel": INT, "nelement": INT, "element_size": INT, "storage_offset": INT,
    "item": NUMBER, "is_floating_point": BOOL, "is_complex": BOOL, "is_contiguous": BOOL, "is_signed": BOOL,
    "backward": NONE, "stride": ListType(INT),
}  # fmt: skip
_NO_METHODS = frozenset("numpy register_hook data_ptr grad_fn retain_grad storage untyped_storage apply_ map_".split())


@cache
def tensor_method(name: str) -> Any:
    """The public entry behind a method of tensors, its plain result type, or None where there is no such method."""
    if name in _NO_METHODS or name in TENSOR_ATTRIBUTES or name.startswith("_"):
        return None
    if not any(name in vars(kind) for kind in Tensor.__mro__):
        return None
    if name in _TENSOR_METHODS:
        return _TENSOR_METHODS[name]
    if name in ("size", "tolist", "type"):
        return ANY
    entry = PUBLIC.get(f"Tensor.{name}") or PUBLIC.get(name)
    if entry is not None and {"method", "property"} & set(entry.places):
        return entry
    return TENSOR


# -- methods of strings, lists and dicts: the result, or a letter for it: E element, K key, V value, S the same type

STR_METHODS: dict[str, Type] = {
    name: type
    for type, names in (
        (STR, "upper lower strip lstrip rstrip replace join format title capitalize casefold center ljust rjust zfill "
              "swapcase expandtabs removeprefix removesuffix"),
        (BOOL, "startswith endswith isdigit isalpha isalnum isspace isupper islower isnumeric isdecimal isidentifier "
               "istitle isprintable"),
        (INT, "find rfind index rindex count"),
        (ListType(STR), "split rsplit splitlines"),
        (TupleType((STR, STR, STR)), "partition rpartition"),
    )
    for name in names.split()
}  # fmt: skip
LIST_METHODS: dict[str, Any] = {
    "append": NONE, "extend": NONE, "insert": NONE, "remove": NONE, "clear": NONE, "reverse": NONE, "sort": NONE,
    "pop": "E", "copy": "S", "index": INT, "count": INT,
}  # fmt: skip
DICT_METHODS: dict[str, Any] = {
    "keys": "K", "values": "V", "items": "KV", "get": "V?", "pop": "V", "setdefault": "V", "update": NONE,
    "clear": NONE, "copy": "S", "popitem": "KV1",
}  # fmt: skip
TUPLE_METHODS: dict[str, Any] = {"index": INT, "count": INT}
DEVICE_ATTRIBUTES: dict[str, Type] = {"type": STR, "index": OptionalType(INT)}
DTYPE_ATTRIBUTES: dict[str, Type] = {"is_floating_point": BOOL, "is_complex": BOOL, "itemsize": INT}
COMPLEX_ATTRIBUTES: dict[str, Type] = {"real": FLOAT, "imag": FLOAT}

LISTS_OF = {"keys", "values", "items"}
"""Methods of dicts whose views become lists."""


@cache
def _built_in_names() -> frozenset[str]:
    """What values of scripts have as Python objects: names that a file may use only as the tables say."""
    names: set[str] = set()
    values = (Tensor, list, dict, str, tuple, int, float, complex, bool, devices.Device, dtypes.DType)
    # What would lead from a value to the interpreter's own objects.
    inner = (
        type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.GeneratorType, types.FrameType,
        types.CodeType, types.TracebackType, types.ModuleType,
    )  # fmt: skip
    for kind in (*values, *inner):
        names.update(dir(kind), vars(kind))
    return frozenset(names)


_ALLOWED = (
    STR_METHODS.keys() | LIST_METHODS.keys() | DICT_METHODS.keys() | TUPLE_METHODS.keys() | TENSOR_ATTRIBUTES.keys()
    | DEVICE_ATTRIBUTES.keys() | DTYPE_ATTRIBUTES.keys() | COMPLEX_ATTRIBUTES.keys() | {"training", "name", "value"}
)  # fmt: skip
_MODULE_STATE = frozenset(
    "_parameters _buffers _modules _non_persistent_buffers_set _forward_pre_hooks _forward_hooks _script save".split()
)


def is_plain_format(text: object) -> bool:
    """Whether ``text.format(...)`` only inserts its arguments, and reads no attribute of theirs."""
    if not isinstance(text, str):
        return False
    try:
        return not any(set(".[") & set(field or "") for _, field, _, _ in string.Formatter().parse(text))
    except ValueError:
        return False


def is_name(name: object) -> bool:
    """Whether ``name`` may be a variable, a parameter or a function."""
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


ATTRIBUTES = (
    TENSOR_ATTRIBUTES.keys() | DEVICE_ATTRIBUTES.keys() | DTYPE_ATTRIBUTES.keys() | COMPLEX_ATTRIBUTES.keys()
    | {"training", "name", "value"} | {field for fields_ in _FIELDS.values() for field in fields_}
)  # fmt: skip
"""What may be read of values that are no objects of the user's classes."""

METHODS = STR_METHODS.keys() | LIST_METHODS.keys() | DICT_METHODS.keys() | TUPLE_METHODS.keys() | {"forward"}
"""What may be called on values that are neither tensors nor objects of the user's classes."""


def is_member(name: object) -> bool:
    """Whether ``name`` may be read, set or called on a value: one of the tables, or one that no built-in value has."""
    if not is_name(name) or name in _MODULE_STATE:
        return False
    return name in _ALLOWED or name not in _built_in_names() or tensor_method(str(name)) is not None

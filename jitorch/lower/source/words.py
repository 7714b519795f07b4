"""Helper functions of the C-like targets: what C has no operator for, or leaves undefined.

Each is a template over the target's type names, so one text serves C99, CUDA C++ and OpenCL C:

    {T} the operand type      {U} the unsigned type as wide      {R} the result type
    {f} the suffix of maths functions (``f`` for float)          {bits} {min} {max} {low} {high} limits

The meanings are those of `jitorch.ir.scalars`: nothing traps, integers wrap.
"""

from __future__ import annotations

import re

from jitorch.dtypes import ALL, Category, DType
from jitorch.ir import scalars

# Unsigned arithmetic wraps; ``1u *`` keeps narrow types from becoming a signed int first.
_SIGNED = {
    "add": "return ({T})(({U})x + ({U})y);",
    "sub": "return ({T})(({U})x - ({U})y);",
    "mul": "return ({T})(1u * ({U})x * ({U})y);",
    "neg": "return ({T})(0u - ({U})x);",
    "abs": "return x < 0 ? ({T})(0u - ({U})x) : x;",
    "sign": "return ({T})((x > 0) - (x < 0));",
    "maximum": "return x > y ? x : y;",
    "minimum": "return x < y ? x : y;",
    "floordiv": """\
if (y == 0) return 0;
if (y == -1) return ({T})(0u - ({U})x);
return ({T})(x / y - (x % y != 0 && (x < 0) != (y < 0)));""",
    "mod": """\
if (y == 0 || y == -1) return 0;
{T} r = ({T})(x % y);
return r != 0 && (r < 0) != (y < 0) ? ({T})(r + y) : r;""",
    "fmod": "return y == 0 || y == -1 ? 0 : ({T})(x % y);",
    "shl": "return y < 0 || y >= {bits} ? 0 : ({T})(1u * ({U})x << y);",
    "shr": "return ({T})(x >> (y < 0 || y >= {bits} ? {bits} - 1 : y));",
    "pow": """\
if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
{U} base = ({U})x, result = 1;
for (; y > 0; y >>= 1) {{
  if (y & 1) result = ({U})(1u * result * base);
  base = ({U})(1u * base * base);
}}
return ({T})result;""",
}

_UNSIGNED = {
    "add": "return ({T})(x + y);",
    "sub": "return ({T})(x - y);",
    "mul": "return ({T})(1u * x * y);",
    "neg": "return ({T})(0u - x);",
    "sign": "return ({T})(x != 0);",
    "maximum": "return x > y ? x : y;",
    "minimum": "return x < y ? x : y;",
    "floordiv": "return y == 0 ? 0 : ({T})(x / y);",
    "mod": "return y == 0 ? 0 : ({T})(x % y);",
    "fmod": "return y == 0 ? 0 : ({T})(x % y);",
    "shl": "return y >= {bits} ? 0 : ({T})(1u * x << y);",
    "shr": "return y >= {bits} ? 0 : ({T})(x >> y);",
    "pow": """\
{T} result = 1;
for (; y > 0; y >>= 1) {{
  if (y & 1) result = ({T})(1u * result * x);
  x = ({T})(1u * x * x);
}}
return result;""",
}

# ``x != x`` is the test for NaN.
_FLOAT = {
    "sign": "return x != x ? x : ({T})((x > 0) - (x < 0));",
    "bits": """\
union {{ {T} number; {R} bits; }} both;
both.number = x;
return x != x ? {nan} : both.bits;""",
    "maximum": "return x >= y || x != x ? x : y;",
    "minimum": "return x <= y || x != x ? x : y;",
    "mod": """\
{T} r = fmod{f}(x, y);
if (y == 0 || r != r) return r;
if (r == 0) return copysign{f}(({T})0, y);
return (r < 0) != (y < 0) ? r + y : r;""",
    # The quotient of ``x - mod(x, y)`` is whole up to rounding, so it is rounded to the nearest.
    "floordiv": """\
if (y == 0) return x / y;
{T} r = fmod{f}(x, y);
{T} q = (x - r) / y;
if (r != 0 && (r < 0) != (y < 0)) q -= 1;
if (q == 0) return copysign{f}(({T})0, x / y);
{T} whole = floor{f}(q);
return q - whole > ({T})0.5 ? whole + 1 : whole;""",
}

_PHILOX = """\
{U} counter = ({U})offset + ({U})index;
{U32} c0 = ({U32})counter, c1 = ({U32})(counter >> 32), c2 = 0, c3 = 0;
{U32} k0 = ({U32})seed, k1 = ({U32})(({U})seed >> 32);
for (int round = 0; round < 10; ++round) {{
  {U} p0 = ({U})0xD2511F53u * c0, p1 = ({U})0xCD9E8D57u * c2;
  c0 = ({U32})(p1 >> 32) ^ c1 ^ k0;
  c1 = ({U32})p1;
  c2 = ({U32})(p0 >> 32) ^ c3 ^ k1;
  c3 = ({U32})p0;
  k0 += 0x9E3779B9u;
  k1 += 0xBB67AE85u;
}}
return ({T})c0;"""

_SATURATE = "return x != x ? 0 : x <= {low} ? {min} : x >= {high} ? {max} : ({R})x;"


def helper(fn: str, dtype: DType) -> str | None:
    """The body of the helper for ``fn`` on operands of ``dtype``, a template; None if there is none."""
    if fn == "philox":
        return _PHILOX
    if dtype.is_floating_point:
        return _FLOAT.get(fn)
    if dtype.category is Category.INT:
        return (_SIGNED if dtype.is_signed else _UNSIGNED).get(fn)
    return None


def saturate() -> str:
    """The body of a conversion from float to integer."""
    return _SATURATE


PARAMETERS = {"philox": ("seed", "offset", "index")}
"""Names of a helper's parameters, where they are not x and y."""

MATHS = {
    name: name
    for name in (
        "sqrt exp expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh erf floor ceil trunc "
        "atan2 pow fmod"
    ).split()
} | {"abs": "fabs", "round": "rint"}
"""Scalar functions that C's maths library has, under its names; float takes the suffix ``f``."""

INFIX = {
    "mul": ("*", 13), "div": ("/", 13), "add": ("+", 12), "sub": ("-", 12),
    "lt": ("<", 10), "le": ("<=", 10), "gt": (">", 10), "ge": (">=", 10), "eq": ("==", 9), "ne": ("!=", 9),
    "and": ("&", 8), "xor": ("^", 7), "or": ("|", 6),
}  # fmt: skip
"""C's operators and how tightly they bind."""

INFIX_BOOL = {
    "lt": ("<", 10), "le": ("<=", 10), "gt": (">", 10), "ge": (">=", 10), "eq": ("==", 9), "ne": ("!=", 9),
    "xor": ("!=", 9), "mul": ("&&", 5), "and": ("&&", 5), "minimum": ("&&", 5),
    "add": ("||", 4), "or": ("||", 4), "maximum": ("||", 4),
}  # fmt: skip
"""The same for bool operands."""

UNARY, PRIMARY, TERNARY = 14, 16, 3
"""Levels of a cast or sign, of what needs no parentheses, and of ``?:``."""

_WORDS = """auto bool break case char const continue default do double else enum extern false float for goto half if
    inline int long register restrict return short signed sizeof static struct switch true typedef union unsigned void
    volatile while class template typename this new delete operator namespace using public private protected try
    catch throw friend virtual asm linux unix args scalars arena status done main NULL INFINITY NAN EOF
    global local kernel constant"""

# What <math.h>, <stdlib.h> and <string.h> declare, in C99 and as POSIX adds to it.
_MATHS_HEADER = """acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp10 exp2 expm1
    fabs fdim finite floor fma fmax fmin fmod frexp gamma hypot ilogb isinf isnan j0 j1 jn ldexp lgamma llrint llround
    log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter nexttoward pow remainder remquo rint round scalb
    scalbln scalbn signbit significand sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn"""
_LIBRARY = """abort abs atexit atof atoi atol atoll bsearch calloc clearenv div drand48 erand48 exit fpclassify free
    getenv index isfinite isgreater isgreaterequal isless islessequal islessgreater isnormal isunordered labs ldiv llabs
    lldiv malloc mblen memccpy memchr memcmp memcpy memmove memset putenv qsort rand random realloc rindex select setenv
    signgam srand srandom stpcpy strcat strchr strcmp strcoll strcpy strdup strerror strlen strncat strncmp strncpy
    strpbrk strrchr strspn strstr strtod strtof strtok strtol strtoll strtoul strtoull strxfrm system unsetenv"""

_RESERVED = frozenset(
    [*_WORDS.split(), *_LIBRARY.split(), *(name + end for name in _MATHS_HEADER.split() for end in ("", "f", "l"))]
)

_DTYPE = "|".join(d.short for d in ALL)
_HELPER_NAME = re.compile(rf"({'|'.join(scalars.TABLE)}|cast_({_DTYPE}))_({_DTYPE})")


def is_reserved(name: str) -> bool:
    """Whether no variable may have this name: a word of a language, a library function, a helper."""
    return name in _RESERVED or _HELPER_NAME.fullmatch(name) is not None

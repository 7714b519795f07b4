"""jitorch: PyTorch's programming model with a compiler, in pure Python."""

import math as _math
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import Any as _Any

from jitorch import plugins as _plugins
from jitorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from jitorch.devices import Device as device
from jitorch.devices import Layout as layout
from jitorch.devices import MemoryFormat as memory_format
from jitorch.devices import channels_last, channels_last_3d, contiguous_format, preserve_format, strided
from jitorch.dtypes import DType as dtype
from jitorch.dtypes import (
    bfloat16,
    complex64,
    complex128,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from jitorch.dtypes import bool_ as bool
from jitorch.dtypes import complex64 as cfloat
from jitorch.dtypes import complex128 as cdouble
from jitorch.dtypes import float16 as half
from jitorch.dtypes import float32 as float
from jitorch.dtypes import float64 as double
from jitorch.dtypes import int16 as short
from jitorch.dtypes import int32 as int
from jitorch.dtypes import int64 as long
from jitorch.frontend.eager.defaults import default_generator
from jitorch.ops import PUBLIC as _PUBLIC
from jitorch.ops.generator import Generator
from jitorch.printing import get_printoptions, set_printoptions
from jitorch.tensor import Size, Tensor
from jitorch.typed import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.activation import (
    hardshrink, sigmoid,
)  # fmt: skip
from jitorch.ops.adaptive import (
    adaptive_avg_pool1d, torch_adaptive_max_pool1d as adaptive_max_pool1d,
)  # fmt: skip
from jitorch.ops.arithmetic import (
    addcdiv, addcmul, clamp, clamp_max, clamp_min, clamp as clip, lerp, masked_fill, where,
)  # fmt: skip
from jitorch.ops.arrange import (
    block_diag, cartesian_prod, cat, column_stack, combinations, cat as concat, cat as concatenate, dstack, flip,
    fliplr, flipud, hstack, meshgrid, repeat_interleave, roll, rot90, vstack as row_stack, stack, tile, vander,
    vstack,
)  # fmt: skip
from jitorch.ops.bessel import (
    i0,
)  # fmt: skip
from jitorch.ops.complex_names import (
    angle, complex, conj, conj_physical, imag, polar, real, resolve_conj, resolve_neg, view_as_complex, view_as_real,
)  # fmt: skip
from jitorch.ops.contraction import (
    addbmm, addmm, addmv, addr, baddbmm, bilinear, chain_matmul, cross, outer as ger, inner, kron, outer, tensordot,
    trace, vdot,
)  # fmt: skip
from jitorch.ops.conv import (
    conv1d, conv2d, conv3d,
)  # fmt: skip
from jitorch.ops.conv_transpose import (
    conv_transpose1d, conv_transpose2d, conv_transpose3d,
)  # fmt: skip
from jitorch.ops.diagonal import (
    diag, diag_embed, diagflat, diagonal_scatter, tril, tril_indices, triu, triu_indices,
)  # fmt: skip
from jitorch.ops.differences import (
    corrcoef, cov, cumulative_trapezoid, diff, fill, renorm, trapezoid, trapezoid as trapz, zero_,
)  # fmt: skip
from jitorch.ops.distance import (
    cdist, cosine_similarity, pairwise_distance, pdist,
)  # fmt: skip
from jitorch.ops.dropout import (
    torch_dropout as dropout,
)  # fmt: skip
from jitorch.ops.einsum import (
    einsum,
)  # fmt: skip
from jitorch.ops.elementary import (
    acosh, acosh as arccosh, asinh as arcsinh, atanh as arctanh, asinh, atanh, deg2rad, exp2, float_power, fmax, fmin,
    frac, gcd, hypot, lcm, ldexp, logaddexp, logaddexp2, logit, positive, rad2deg, sinc, xlogy,
)  # fmt: skip
from jitorch.ops.extrema import (
    amax, amin, aminmax, argmax, argmin, max, min,
)  # fmt: skip
from jitorch.ops.factory import (
    arange, as_tensor, as_tensor as asarray, empty, empty_like, empty_strided, eye, from_numpy, frombuffer, full,
    full_like, linspace, logspace, ones, ones_like, closed_range as range, scalar_tensor, tensor, zeros, zeros_like,
)  # fmt: skip
from jitorch.ops.gamma import (
    digamma, lgamma, mvlgamma, polygamma,
)  # fmt: skip
from jitorch.ops.generator import (
    get_rng_state, initial_seed, manual_seed, seed, set_rng_state,
)  # fmt: skip
from jitorch.ops.indexing import (
    index_put, masked_scatter, masked_select, put_flat as put, select_scatter, slice_scatter, take_flat as take,
    take_along_dim,
)  # fmt: skip
from jitorch.ops.linalg import (
    bmm, dot, matmul, mm, mv,
)  # fmt: skip
from jitorch.ops.lu import (
    lu_solve, lu_unpack, triangular_solve,
)  # fmt: skip
from jitorch.ops.math import (
    abs_ as abs, abs_ as absolute, acos, add_ as add, acos as arccos, asin as arcsin, atan as arctan,
    atan2 as arctan2, asin, atan, atan2, bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or,
    bitwise_right_shift, bitwise_xor, ceil_ as ceil, cos, cosh, div_ as div, div_ as divide, eq, erf, exp, expm1,
    trunc_ as fix, floor_ as floor, floor_divide, fmod, ge, gt as greater, ge as greater_equal, gt, le, lt as less,
    le as less_equal, log, log10, log1p, log2, logical_and, logical_not, logical_or, logical_xor, lt, maximum,
    minimum, mul, mul as multiply, ne, neg, neg as negative, ne as not_equal, pow, reciprocal, remainder, round,
    rsqrt, rsub, sign, sin, sinh, sqrt, square, sub_ as sub, sub_ as subtract, tan, tanh, true_divide,
    trunc_ as trunc,
)  # fmt: skip
from jitorch.ops.matrix import (
    cholesky, cholesky_inverse, cholesky_solve, det, inverse, logdet, qr, slogdet, svd,
)  # fmt: skip
from jitorch.ops.matrix_functions import (
    matrix_exp, matrix_power,
)  # fmt: skip
from jitorch.ops.matrix_norms import (
    pinverse,
)  # fmt: skip
from jitorch.ops.normalization import (
    group_norm, layer_norm, rms_norm,
)  # fmt: skip
from jitorch.ops.numeric import (
    gradient, histogram,
)  # fmt: skip
from jitorch.ops.parts import (
    chunk, diagonal, dsplit, hsplit, narrow, select, split, split_with_sizes, tensor_split, unbind, vsplit,
)  # fmt: skip
from jitorch.ops.pooling import (
    avg_pool1d, max_pool1d, max_pool2d, max_pool3d,
)  # fmt: skip
from jitorch.ops.predicates import (
    copysign, heaviside, isclose, isfinite, isinf, isnan, isneginf, isposinf, isreal, nan_to_num, sgn, signbit,
)  # fmt: skip
from jitorch.ops.queries import (
    can_cast, get_default_device, get_default_dtype, get_num_threads, is_complex, is_floating_point, is_nonzero,
    is_tensor, numel, promote_types, result_type, set_default_device, set_default_dtype, set_num_threads,
)  # fmt: skip
from jitorch.ops.random import (
    bernoulli, multinomial, normal, rand, rand_like, randint, randint_like, randn, randn_like, randperm,
)  # fmt: skip
from jitorch.ops.rectifier import (
    celu, prelu, relu_op as relu, selu, threshold,
)  # fmt: skip
from jitorch.ops.reduction import (
    all, any, count_nonzero, mean, nanmean, nansum, prod, sum,
)  # fmt: skip
from jitorch.ops.scan import (
    cummax, cummin, cumprod, cumsum, logcumsumexp,
)  # fmt: skip
from jitorch.ops.scatter import (
    gather, index_add, index_copy, index_fill, index_reduce, index_select, scatter, scatter_add, scatter_reduce,
)  # fmt: skip
from jitorch.ops.search import (
    bincount, bucketize, histc, searchsorted,
)  # fmt: skip
from jitorch.ops.sets import (
    allclose, argwhere, equal, isin, nonzero, unique, unique_consecutive,
)  # fmt: skip
from jitorch.ops.shape import (
    adjoint, atleast_1d, atleast_2d, atleast_3d, broadcast_shapes, broadcast_tensors, broadcast_to_ as broadcast_to,
    clone, flatten, movedim as moveaxis, movedim, permute, ravel, reshape, squeeze, transpose as swapaxes,
    transpose as swapdims, t, transpose, unflatten, unsqueeze,
)  # fmt: skip
from jitorch.ops.softmax import (
    log_softmax, softmax,
)  # fmt: skip
from jitorch.ops.sorting import (
    argsort, kthvalue, median, mode, msort, nanmedian, nanquantile, quantile, sort, topk,
)  # fmt: skip
from jitorch.ops.special import (
    erfc, erfinv,
)  # fmt: skip
from jitorch.ops.spectrogram import (
    istft, stft,
)  # fmt: skip
from jitorch.ops.spread import (
    dist, logsumexp, norm, std, std_mean, var, var_mean,
)  # fmt: skip
from jitorch.ops.stochastic import (
    rrelu,
)  # fmt: skip
from jitorch.ops.strided import (
    as_strided, as_strided_scatter, resize_as_,
)  # fmt: skip
from jitorch.ops.unpooling import (
    channel_shuffle, pixel_shuffle, pixel_unshuffle,
)  # fmt: skip
from jitorch.ops.windows import (
    bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window,
)  # fmt: skip

__all__ = [
    "abs", "absolute", "acos", "acosh", "adaptive_avg_pool1d", "adaptive_max_pool1d", "add", "addbmm", "addcdiv",
    "addcmul", "addmm", "addmv", "addr", "adjoint", "all", "allclose", "amax", "amin", "aminmax", "angle", "any",
    "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort",
    "argwhere", "as_strided", "as_strided_scatter", "as_tensor", "asarray", "asin", "asinh", "atan", "atan2", "atanh",
    "atleast_1d", "atleast_2d", "atleast_3d", "avg_pool1d", "baddbmm", "bartlett_window", "bernoulli", "bilinear",
    "bincount", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "blackman_window", "block_diag", "bmm", "broadcast_shapes", "broadcast_tensors", "broadcast_to",
    "bucketize", "can_cast", "cartesian_prod", "cat", "cdist", "ceil", "celu", "chain_matmul", "channel_shuffle",
    "cholesky", "cholesky_inverse", "cholesky_solve", "chunk", "clamp", "clamp_max", "clamp_min", "clip", "clone",
    "column_stack", "combinations", "complex", "concat", "concatenate", "conj", "conj_physical", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "copysign", "corrcoef", "cos", "cosh",
    "cosine_similarity", "count_nonzero", "cov", "cross", "cummax", "cummin", "cumprod", "cumsum",
    "cumulative_trapezoid", "deg2rad", "det", "diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter",
    "diff", "digamma", "dist", "div", "divide", "dot", "dropout", "dsplit", "dstack", "einsum", "empty", "empty_like",
    "empty_strided", "eq", "equal", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "eye", "fill", "fix", "flatten",
    "flip", "fliplr", "flipud", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "from_numpy",
    "frombuffer", "full", "full_like", "gather", "gcd", "ge", "ger", "get_default_device", "get_default_dtype",
    "get_num_threads", "get_rng_state", "gradient", "greater", "greater_equal", "group_norm", "gt", "hamming_window",
    "hann_window", "hardshrink", "heaviside", "histc", "histogram", "hsplit", "hstack", "hypot", "i0", "imag",
    "index_add", "index_copy", "index_fill", "index_put", "index_reduce", "index_select", "initial_seed", "inner",
    "inverse", "is_complex", "is_floating_point", "is_nonzero", "is_tensor", "isclose", "isfinite", "isin", "isinf",
    "isnan", "isneginf", "isposinf", "isreal", "istft", "kaiser_window", "kron", "kthvalue", "layer_norm", "lcm",
    "ldexp", "le", "lerp", "less", "less_equal", "lgamma", "linspace", "log", "log10", "log1p", "log2", "log_softmax",
    "logaddexp", "logaddexp2", "logcumsumexp", "logdet", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logit", "logspace", "logsumexp", "lt", "lu_solve", "lu_unpack", "manual_seed", "masked_fill", "masked_scatter",
    "masked_select", "matmul", "matrix_exp", "matrix_power", "max", "max_pool1d", "max_pool2d", "max_pool3d",
    "maximum", "mean", "median", "meshgrid", "min", "minimum", "mm", "mode", "moveaxis", "movedim", "msort", "mul",
    "multinomial", "multiply", "mv", "mvlgamma", "nan_to_num", "nanmean", "nanmedian", "nanquantile", "nansum",
    "narrow", "ne", "neg", "negative", "nonzero", "norm", "normal", "not_equal", "numel", "ones", "ones_like",
    "outer", "pairwise_distance", "pdist", "permute", "pinverse", "pixel_shuffle", "pixel_unshuffle", "polar",
    "polygamma", "positive", "pow", "prelu", "prod", "promote_types", "put", "qr", "quantile", "rad2deg", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range", "ravel", "real", "reciprocal",
    "relu", "remainder", "renorm", "repeat_interleave", "reshape", "resize_as_", "resolve_conj", "resolve_neg",
    "result_type", "rms_norm", "roll", "rot90", "round", "row_stack", "rrelu", "rsqrt", "rsub", "scalar_tensor",
    "scatter", "scatter_add", "scatter_reduce", "searchsorted", "seed", "select", "select_scatter", "selu",
    "set_default_device", "set_default_dtype", "set_num_threads", "set_rng_state", "sgn", "sigmoid", "sign",
    "signbit", "sin", "sinc", "sinh", "slice_scatter", "slogdet", "softmax", "sort", "split", "split_with_sizes",
    "sqrt", "square", "squeeze", "stack", "std", "std_mean", "stft", "sub", "subtract", "sum", "svd", "swapaxes",
    "swapdims", "t", "take", "take_along_dim", "tan", "tanh", "tensor", "tensor_split", "tensordot", "threshold",
    "tile", "topk", "trace", "transpose", "trapezoid", "trapz", "triangular_solve", "tril", "tril_indices", "triu",
    "triu_indices", "true_divide", "trunc", "unbind", "unflatten", "unique", "unique_consecutive", "unsqueeze",
    "vander", "var", "var_mean", "vdot", "view_as_complex", "view_as_real", "vsplit", "vstack", "where", "xlogy",
    "zero_", "zeros", "zeros_like",
]  # fmt: skip
# isort: on
# -- end of ops --

e, pi, inf, nan = _math.e, _math.pi, _math.inf, _math.nan
newaxis = None

_SUBMODULES = (
    "accelerator", "autograd", "backends", "cpu", "cuda", "fft", "func", "jit", "linalg", "nn", "onnx", "optim",
    "random", "special", "utils",
)  # fmt: skip
_LATE = {
    "compile": ("jitorch.jit", "jit"),
    "list_backends": ("jitorch.backends", "list_backends"),
    "register_backend": ("jitorch.backends", "register_backend"),
    "set_default_backend": ("jitorch.backends", "set_default_backend"),
    "unregister_backend": ("jitorch.backends", "unregister_backend"),
    "vmap": ("jitorch.autograd.vmap", "vmap"),
}


def __getattr__(name: str) -> _Any:
    # Submodules and the compiler are imported when first used: `import jitorch` stays quick.
    if name in _SUBMODULES and _find_spec(f"jitorch.{name}") is not None:
        return _import_module(f"jitorch.{name}")
    if name in _LATE:
        module, attribute = _LATE[name]
        return getattr(_import_module(module), attribute)
    found = None if name.startswith("_") else _late_op(name)
    if found is None:
        raise AttributeError(f"module 'jitorch' has no attribute {name!r}")
    globals()[name] = found
    return found


def _late_op(name: str) -> _Any:
    """An op that was defined after this package was imported, or that an installed package provides."""
    entry = _PUBLIC.get(name)
    if entry is not None and "torch" in entry.places:
        return entry
    return _plugins.find(_plugins.OPS, name)


__all__ += [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "Generator",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor", "Size", "Tensor", "bfloat16", "bool", "cdouble", "cfloat",
    "channels_last", "channels_last_3d", "complex128", "complex64", "contiguous_format", "default_generator",
    "device", "double", "dtype", "e", "enable_grad", "finfo", "float", "float16", "float32", "float64",
    "get_printoptions", "half", "iinfo", "inf", "inference_mode", "int", "int16", "int32", "int64", "int8",
    "is_grad_enabled", "is_inference_mode_enabled", "layout", "long", "memory_format", "nan", "newaxis", "no_grad",
    "pi", "preserve_format", "set_grad_enabled", "set_printoptions", "short", "strided", "uint16", "uint32", "uint64",
    "uint8",
]  # fmt: skip

"""Special functions: ``torch.special``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.bessel import (
    i0, i0e, i1, i1e, modified_bessel_i0, modified_bessel_i1,
)  # fmt: skip
from jitorch.ops.elementary import (
    exp2, expit, special_expm1 as expm1, special_log1p as log1p, logit, sinc, xlog1py, xlogy,
)  # fmt: skip
from jitorch.ops.gamma import (
    psi as digamma, gammaln, multigammaln, polygamma, psi, zeta,
)  # fmt: skip
from jitorch.ops.math import (
    erf,
)  # fmt: skip
from jitorch.ops.softmax import (
    log_softmax, softmax,
)  # fmt: skip
from jitorch.ops.special import (
    entr, erfc, erfcx, erfinv, log_ndtr, ndtr, ndtri,
)  # fmt: skip
from jitorch.ops.spread import (
    logsumexp,
)  # fmt: skip

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0", "i0e", "i1",
    "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp", "modified_bessel_i0", "modified_bessel_i1",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
# isort: on
# -- end of ops --

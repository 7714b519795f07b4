"""Special functions: ``torch.special``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.activation import (
    sigmoid as expit, sigmoid,
)  # fmt: skip
from jitorch.ops.math import (
    erf,
)  # fmt: skip
from jitorch.ops.reduction import (
    logsumexp,
)  # fmt: skip
from jitorch.ops.softmax import (
    log_softmax, softmax,
)  # fmt: skip

__all__ = [
    "erf", "expit", "log_softmax", "logsumexp", "sigmoid", "softmax",
]  # fmt: skip
# isort: on
# -- end of ops --

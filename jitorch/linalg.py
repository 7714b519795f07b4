"""Linear algebra: ``torch.linalg``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.contraction import (
    linalg_cross as cross, multi_dot, vecdot,
)  # fmt: skip
from jitorch.ops.norms import (
    vector_norm,
)  # fmt: skip

__all__ = [
    "cross", "multi_dot", "vecdot", "vector_norm",
]  # fmt: skip
# isort: on
# -- end of ops --

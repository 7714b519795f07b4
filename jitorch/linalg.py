"""Linear algebra: ``torch.linalg``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.norms import (
    vector_norm,
)  # fmt: skip

__all__ = [
    "vector_norm",
]  # fmt: skip
# isort: on
# -- end of ops --

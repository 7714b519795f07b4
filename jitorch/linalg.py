"""Linear algebra: ``torch.linalg``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.contraction import (
    linalg_cross as cross, multi_dot, vecdot,
)  # fmt: skip
from jitorch.ops.lu import (
    lu, lu_factor, lu_factor_ex, linalg_lu_solve as lu_solve,
)  # fmt: skip
from jitorch.ops.matrix import (
    linalg_cholesky as cholesky, cholesky_ex, det, eig, eigh, eigvals, eigvalsh, inv, inv_ex, linalg_qr as qr,
    linalg_slogdet as slogdet, solve, solve_ex, solve_triangular, linalg_svd as svd, svdvals,
)  # fmt: skip
from jitorch.ops.matrix_functions import (
    matrix_exp, matrix_power,
)  # fmt: skip
from jitorch.ops.matrix_norms import (
    cond, lstsq, matrix_norm, matrix_rank, norm, pinv, tensorinv, tensorsolve,
)  # fmt: skip
from jitorch.ops.norms import (
    vector_norm,
)  # fmt: skip
from jitorch.ops.numeric import (
    linalg_diagonal as diagonal, linalg_vander as vander,
)  # fmt: skip

__all__ = [
    "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "inv_ex", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd",
    "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
# isort: on
# -- end of ops --

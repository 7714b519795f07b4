"""Linear algebra: ``torch.linalg``."""

# -- ops, written by tools/public_names.py --
# isort: off

__all__ = [

]  # fmt: skip
# isort: on
# -- end of ops --

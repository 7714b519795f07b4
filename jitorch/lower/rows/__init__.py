"""Rows: kernels that reduce along rows, with all that is computed from the same rows beside it."""

"""Kernels and programs as text of C-like languages."""

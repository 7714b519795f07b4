"""Convolutions and their gradients: which way each is computed, and the kernels of each way."""

"""What only kernels for a GPU need: the grid, the launch, and shared memory."""

"""The project's benchmark: jitorch beside its peers.  ``python -m benchmarks --help``."""

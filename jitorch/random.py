"""The default random generator, by function."""

from jitorch.frontend.eager.defaults import default_generator
from jitorch.ops.generator import (
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]

"""Functions that make functions: ``torch.func``."""

from jitorch.autograd.jacobians import hessian, jacfwd, jacrev
from jitorch.autograd.transforms import grad, grad_and_value, jvp, linearize, vjp
from jitorch.autograd.vmap import vmap
from jitorch.nn.utils.stateless import functional_call, stack_module_state

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]

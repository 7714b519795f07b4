"""``erf``: an odd polynomial up to 1, and ``1 - exp(-t * q(t))`` from there on.

``q`` of `tables` is ``-log(erfc(t)) / t``, minimax in the error of ``erfc``: what counts is the error
against 1, so a few terms serve where ``erfc`` itself would need many.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import exponential, tables
from jitorch.backends.cpu.mathematics.term import Term, choose, fused, polynomial


def erf(x: Term) -> Term:
    """The error function."""
    t = x.magnitude.at_most(4.0 if x.is_single else 6.0)
    near = fused(x, polynomial(x * x, tables.ERROR_32 if x.is_single else tables.ERROR_64), x)
    exponent = -t * polynomial(t, tables.COMPLEMENT_32 if x.is_single else tables.COMPLEMENT_64)
    far = (1.0 - exponential.exp_of_negative(exponent)).with_sign_of(x)
    return choose(t > 1.0, far, near)

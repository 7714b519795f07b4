"""Snippets of Python that are hard to trace; importing this registers all of them."""

from tests.frontend.python.cases import changes, classes, containers, flow, functions, library, refused, scalars
from tests.frontend.python.cases.registry import REFUSED as REFUSED
from tests.frontend.python.cases.registry import STAGED as STAGED

MODULES = (changes, classes, containers, flow, functions, library, refused, scalars)

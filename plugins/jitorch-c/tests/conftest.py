"""The backend under test, whether the package is installed or lies in this tree."""

from __future__ import annotations

from collections.abc import Iterator

import jitorch_c
import pytest

from jitorch import config
from jitorch.backends import register_backend, unregister_backend


@pytest.fixture(scope="session", autouse=True)
def _registered() -> Iterator[None]:
    register_backend(jitorch_c.backend, replace=True)
    yield
    unregister_backend("c")


@pytest.fixture(autouse=True)
def _verified() -> Iterator[None]:
    with config.override(verify=True, cache=False):
        yield

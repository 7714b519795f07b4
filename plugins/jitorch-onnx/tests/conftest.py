"""Compiled code is verified, and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jitorch import config


@pytest.fixture(autouse=True)
def _verified() -> Iterator[None]:
    with config.override(verify=True, cache=False):
        yield

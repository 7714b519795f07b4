from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Graphs are checked after every pass, in processes that tests start as well.
os.environ.setdefault("JITORCH_VERIFY", "1")
# What a test asks of a trace, it asks of this run's, not of one that an earlier run kept.
os.environ.setdefault("JITORCH_RECORDS", "0")

# A busy machine is no failure.
settings.register_profile("jitorch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("jitorch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite expected texts by what is computed now")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--update-golden")

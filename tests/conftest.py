"""Hypothesis profiles: `ci` is fixed and derandomized, `long` is what `make laws` runs."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("ICOPS_LAWS", "ci"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The public corpus beside the project; tests that need it skip, visibly counted, where it is absent."""
    folder = Path(os.environ.get("ICOPS_CORPUS") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip("no corpus: set ICOPS_CORPUS")
    return folder

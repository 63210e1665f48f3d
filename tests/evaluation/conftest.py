"""Fixtures of the evaluation tests."""

import pytest
from helpers.drift import RealSamples, real_samples


@pytest.fixture(scope="session")
def samples() -> RealSamples:
    return real_samples()

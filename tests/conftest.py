"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A test proves correctness, never a time: a loaded machine must not fail it.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

IN_CI = bool(os.environ.get("CI"))


@pytest.fixture(scope="session")
def missing() -> object:
    """`missing("mbsync")`: skip by name on a laptop, fail where CI is set."""

    def report(what: str) -> None:
        text = f"{what} is not installed"
        if IN_CI:
            pytest.fail(text)
        pytest.skip(text)

    return report

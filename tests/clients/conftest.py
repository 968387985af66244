"""One gateway for each module of tests, and a way to start others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, ended, running


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway that the module's tests share; each test should use an inbox of its own.

    It has the module's READERS, reader processes: without any what they do is done in threads. Where the module says
    FRESH it has an interpreter of its own, as have its commands.
    """
    readers, fresh = getattr(request.module, "READERS", 0), getattr(request.module, "FRESH", False)
    with running(Gateway(tmp_path_factory.mktemp("gateway"), readers=readers, fresh=fresh)) as served:
        yield served


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways with settings of their own, initialised but not started; all are stopped at the end."""
    made: list[Gateway] = []

    def make(settings: str = "", *, init: bool = True, readers: int = 0, **options: object) -> Gateway:
        one = Gateway(tmp_path / f"gateway{len(made)}", settings, readers=readers, **options)  # type: ignore[arg-type]
        made.append(one)
        if init:
            one.init()
        else:
            one.configure()
        return one

    yield make
    for one in made:
        ended(one)

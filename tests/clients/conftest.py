"""One gateway for each module of tests, and a way to start others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway


def _end(gateway: Gateway) -> None:
    if gateway.process is not None:
        status = gateway.stop()
        assert status == 0, f"the gateway ended with {status}:\n{gateway.log_tail()}"
    assert not gateway.defects(), gateway.log_tail()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway that the module's tests share; each test should use an inbox of its own."""
    served = Gateway(tmp_path_factory.mktemp("gateway"))
    served.init()
    served.start()
    try:
        yield served
    finally:
        _end(served)


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways with settings of their own, initialised but not started; all are stopped at the end."""
    made: list[Gateway] = []

    def make(settings: str = "", *, init: bool = True, **options: object) -> Gateway:
        one = Gateway(tmp_path / f"gateway{len(made)}", settings, **options)  # type: ignore[arg-type]
        made.append(one)
        if init:
            one.init()
        else:
            one.configure()
        return one

    yield make
    for one in made:
        _end(one)

"""One gateway for each module of tests against the real process, and what must hold of it after all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.process_kit import control, secrets_in
from tests.support.gateway import Gateway, running


def end(gateway: Gateway) -> None:
    """The store keeps its promises, the process stops by itself, its log tells of no defect and no secret."""
    if gateway.process is not None:
        assert control(gateway, "store.check", deep=True) == []
        assert gateway.stop() == 0, gateway.log_tail()
    assert not gateway.defects(), gateway.log_tail()
    assert not secrets_in(gateway)


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway that the module's tests share, with the module's SETTINGS; its log holds every event.

    By an interpreter of its own where the module says FRESH.
    """
    settings, fresh = getattr(request.module, "SETTINGS", ""), getattr(request.module, "FRESH", False)
    one = Gateway(tmp_path_factory.mktemp("process"), '[log]\nlevel = "debug"\n' + settings, fresh=fresh)
    with running(one, end):
        yield one

"""Webhooks of a gateway that was told nothing of private networks: none of them is ever reached."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.api import Api
from tests.support.gateway import Gateway

from .test_webhooks import until

Make = Callable[..., Api]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"]  # noqa: S104
)
def test_private_addresses_are_refused(gateway: Gateway, api: Make, host: str) -> None:
    admin = api()
    hook = admin.post("/api/v1/webhooks", {"url": f"https://{host}:{gateway.imaps}/", "inbox": gateway.address})
    admin.post(f"/api/v1/webhooks/{hook['id']}/test")
    found = until(lambda: admin.get(f"/api/v1/webhooks/{hook['id']}/attempts")["items"], bool)
    assert (found[0]["ok"], found[0]["status"]) == (False, None)
    assert "not allowed" in found[0]["failure"]

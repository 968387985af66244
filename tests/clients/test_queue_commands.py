"""gateway queue: what waits and why, beside a running server whose relay cannot be reached, and without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.support.gateway import Gateway

SETTINGS = '[relay]\nhost = "127.0.0.1"\nport = 1\nsecurity = "none"\nallow_private = true\n'


def send(gateway: Gateway, *recipients: str) -> None:
    token = recipients[0]
    with gateway.smtp() as smtp:
        smtp.sendmail(
            gateway.address, recipients,
            f"From: {gateway.address}\r\nMessage-ID: <{token}>\r\nSubject: {token}\r\n\r\nbody\r\n",
        )  # fmt: skip


def rows(gateway: Gateway, *filters: str) -> list[dict[str, Any]]:
    return list(gateway.json("queue", "list", *filters))


def events(gateway: Gateway, ident: str) -> list[str]:
    return [event["event"] for event in gateway.json("queue", "show", ident)["history"]]


def wait_until_tried(gateway: Gateway) -> None:
    """Until the first recipient was tried and no attempt is under way."""
    deadline = time.monotonic() + 60
    while True:
        states = [row["state"] for row in rows(gateway)]
        if "deferred" in states and "sending" not in states:
            return
        assert time.monotonic() < deadline, states


def test_what_waits_and_why_and_what_can_be_done(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(SETTINGS)
    gateway.start()
    send(gateway, "a@one.test", "b@two.test")
    send(gateway, "c@two.test")
    wait_until_tried(gateway)

    by_address = {row["recipient"]: row for row in rows(gateway)}
    assert set(by_address) == {"a@one.test", "b@two.test", "c@two.test"}
    assert "Connection refused" in by_address["a@one.test"]["why"]
    assert [row["recipient"] for row in rows(gateway, "--to", "one.test")] == ["a@one.test"]
    assert [row["recipient"] for row in rows(gateway, "--to", "C@two.test")] == ["c@two.test"]
    assert rows(gateway, "--from", "elsewhere.test") == []
    assert len(rows(gateway, "--inbox", gateway.address, "--from", gateway.address)) == 3

    stats = gateway.json("queue", "stats")
    assert (stats["recipients"], stats["states"]["sending"]) == (3, 0)
    assert {row["domain"]: row["recipients"] for row in stats["destinations"]} == {"two.test": 2, "one.test": 1}
    [hop] = stats["next_hops"]
    assert (hop["name"], hop["breaker"]) in {("relay", "open"), ("relay", "half-open")}
    assert "Connection refused" in hop["reason"]
    assert "NEXT HOP" in gateway.run("queue", "stats")

    second = by_address["c@two.test"]["id"]
    assert gateway.json("queue", "hold", second) == {"recipients": 1}
    [held] = rows(gateway, "--state", "held", "--reason", "operator")
    assert (held["recipient"], held["next_attempt_at"]) == ("c@two.test", None)
    assert held["why"].startswith("held by the administrator")
    assert gateway.json("queue", "release", second) == {"recipients": 1}
    assert "2 recipients are held" in gateway.run("queue", "hold", "--all", "--to", "two.test", "--yes")
    assert {row["recipient"] for row in rows(gateway, "--state", "held")} == {"b@two.test", "c@two.test"}
    assert gateway.json("queue", "cancel", second) == {"recipients": 1}
    told = events(gateway, second)
    assert told[0] == "accepted"
    assert [event for event in told if event not in ("accepted", "deferred")] == [
        "held", "released", "held", "cancelled",
    ]  # fmt: skip
    shown = gateway.run("queue", "show", by_address["a@one.test"]["id"])
    assert "Connection refused" in shown
    assert "held by" not in shown

    asked = gateway.cli("queue", "cancel", "--all", stdin=b"n\n")
    assert asked.returncode != 0
    assert len(rows(gateway)) == 2
    assert gateway.stop() == 0
    assert gateway.json("queue", "stats")["next_hops"] is None, "that only the process that sends knows"
    assert gateway.json("queue", "retry", "--all", "--yes") == {"recipients": 2}
    assert gateway.json("queue", "cancel", "--all", "--yes") == {"recipients": 2}
    assert "empty" in gateway.cli("queue", "list").stderr
    assert {row["state"] for row in rows(gateway, "--state", "cancelled")} == {"cancelled"}


def test_each_command_says_what_it_wants(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(SETTINGS)
    for command in ("retry", "hold", "release", "cancel"):
        for wrong in ([], ["--all", "some-id"]):
            done = gateway.cli("queue", command, *wrong)
            assert done.returncode == 2
            assert "--all" in done.stderr
    assert "no message" in gateway.cli("queue", "cancel", "0000").stderr
    assert "no inbox" in gateway.cli("queue", "hold", "--all", "--yes", "--inbox", "x@y.test").stderr

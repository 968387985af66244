"""A relay of several hosts, most of which are out of order: on loopback, or in a network namespace of its own.

`unshare -rn python -m tests.faults.smtp_hosts DIRECTORY` makes the network, plays the scenario and prints what came.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from structlog.testing import capture_logs

from gateway.delivery.routes import Route, Routes
from gateway.outbound.endpoint import Timeouts
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_store import House, house

QUICK = Timeouts(connect=0.3, greeting=5, mail=5, rcpt=5, data=5, block=5, final=5, quit=1)


@dataclass(frozen=True)
class Net:
    """`dead`: addresses that no connection is made to. The one that turns us away, a good one, and another good one."""

    dead: tuple[str, ...]
    busy: str
    good: str
    spare: str


LOOPBACK = Net(("127.0.9.1",), "127.0.9.3", "127.0.9.4", "127.0.9.5")
SPACE = Net(("10.98.0.1", "10.98.0.2", "10.97.0.7", "10.96.0.1", "10.99.0.2"), "10.99.0.3", "10.99.0.4", "10.99.0.5")
COMMANDS = """
link set lo up
addr add 10.99.0.0/24 dev lo
route add unreachable 10.98.0.1
route add prohibit 10.98.0.2
link add v0 type veth peer name v1
addr add 10.97.0.1/24 dev v0
link set v0 up
link set v1 up
neigh add 10.97.0.7 lladdr 02:00:00:00:00:01 dev v0
"""
"""Lost without a word: 10.97.0.7; no way there: 10.96.0.1; nobody listens: 10.99.0.2."""


class Findings(TypedDict):
    """What the test looks at. `failures`: hosts that were logged as failed; `bad`: those that are out of order."""

    states: list[str]
    remotes: list[str]
    taken: int
    turned_away: int
    failures: list[str]
    bad: list[str]
    spared: int


async def scenario(directory: Path, net: Net) -> Findings:
    """Six messages, one that is refused, and one after the host that was busy has mended and all have rested."""
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(house(directory))
        good = await stack.enter_async_context(peer(Peer(), net.good))
        busy = Peer(replies={"greeting": ["421 4.3.2 too busy"] * 100}, port=good.port)
        await stack.enter_async_context(peer(busy, net.busy))
        spare = await stack.enter_async_context(peer(Peer(port=good.port), net.spare))
        bad = [*net.dead, net.busy]
        hosts = [good.endpoint(host=host, timeouts=QUICK) for host in (*bad, net.good, net.spare)]
        it.routes = Routes(Route.relay("many", *hosts))
        logs = stack.enter_context(capture_logs())
        async with it.runner(connections=1):
            for number in range(6):
                await _sent(it, f"a{number}@elsewhere.net")
            failures = [str(line["host"]) for line in logs if line["event"] == "delivery.route_failed"]
            turned_away = busy.connections
            good.replies["RCPT"] = ["550 5.1.1 nobody"]
            await _sent(it, "nobody@elsewhere.net")
            busy.replies.clear()
            it.now += 1000
            await _sent(it, "last@elsewhere.net")
        entries = await it.queue()
        return Findings(
            states=[str(person.state) for entry in entries for person in entry.recipients],
            remotes=[str(entry.attempts[-1].remote) for entry in entries],
            taken=len(good.got),
            turned_away=turned_away,
            failures=failures,
            bad=bad,
            spared=spare.connections,
        )


async def _sent(it: House, recipient: str) -> None:
    """Until it has its end."""
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), USER, (recipient,)))
    await arrival.write(f"From: {USER}\r\nMessage-ID: <{recipient}>\r\n\r\nbody\r\n".encode())
    await arrival.finish()

    async def ended() -> bool:
        return not {"queued", "sending", "deferred"} & set(await it.states())

    await it.until(ended)


def main(directory: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=COMMANDS, text=True, check=True)
    print(json.dumps(run(scenario(Path(directory), SPACE))))


if __name__ == "__main__":
    main(sys.argv[1])

"""Routes at work: what a rule throws away or refuses, and relays of several hosts, in a network of their own."""

from __future__ import annotations

import email
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.delivery.routes import Route, RouteKind, Routes, Rule
from gateway.submit.errors import NoRoute, UnknownRecipient
from tests.faults import smtp_hosts
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_store import House, house

ROOT = Path(__file__).parents[2]


def to(domain: str, route: Route, number: int = 1) -> Rule:
    return Rule(number, "*", domain, route)


async def submit(it: House, *recipients: str) -> None:
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), USER, recipients))
    await arrival.write(f"From: {USER}\r\n\r\nbody\r\n".encode())
    await arrival.finish()


def test_thrown_away_by_rule(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as one:
            relay = Route.relay("relay", one.endpoint())
            it.routes = Routes(relay, [to("away.net", Route("discard", RouteKind.DISCARD), 7)])
            async with it.runner():
                await submit(it, "a@away.net", "b@elsewhere.net")
                await it.until(lambda: _all_sent(it))
            [entry] = await it.queue()
            texts = {person.address: (person.text or b"").decode() for person in entry.recipients}
            assert texts == {"a@away.net": "Discarded by rule 7 of the routes", "b@elsewhere.net": "taken"}
            assert [got.rcpts for got in one.got] == [["RCPT TO:<b@elsewhere.net>"]]
            assert await it.mail(it.ann) == []

    run(main())


async def _all_sent(it: House) -> bool:
    return set(await it.states()) == {"sent"}


def test_two_relays_for_one_message(tmp_path: Path) -> None:
    """Each recipient goes its way, by the narrowest rule, in one transaction a relay."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as one, peer(Peer()) as other:
            inside = Route.relay("inside", other.endpoint())
            it.routes = Routes(
                Route.relay("relay", one.endpoint()),
                [to(".net", inside, 1), to("f.net", inside, 2), Rule(3, "bob@example.org", "*", inside)],
            )
            async with it.runner():
                await submit(it, "a@b.f.net", "c@d.example", "e@f.net", "g@h.example")
                await it.until(lambda: _all_sent(it))
            assert [len(got.rcpts) for got in one.got] == [2]
            assert [len(got.rcpts) for got in other.got] == [2]

    run(main())


LINE = "zoë wrote this line\r\n"
LONG = (
    "From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + LINE * 30_000
    + "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: application/x\r\n"
    "Content-Transfer-Encoding: binary\r\n\r\n"
).encode()
RAW = bytes(range(256)) * 2_000
RAW_MESSAGE = LONG + RAW + b"\r\n--b--\r\n"


@pytest.mark.parametrize("offered", [(), ("8BITMIME",), ("8BITMIME", "CHUNKING", "BINARYMIME", "PIPELINING")])
def test_a_stored_message_for_who_takes_less(tmp_path: Path, offered: tuple[str, ...]) -> None:
    """Parts larger than a page of the store, read while they are converted; nothing of them is lost."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer(offered)) as one:
            it.routes = Routes(Route.relay("relay", one.endpoint()))
            envelope = envelope_of(principal(inbox_id=it.ann), USER, ("eve@x.net",), body_binary=True)
            arrival = it.submissions.begin(envelope)
            await arrival.write(RAW_MESSAGE)
            await arrival.finish()
            async with it.runner():
                await it.until(lambda: _all_sent(it))
            [got] = one.got
            text, plain, raw = email.message_from_bytes(got.octets).get_payload()
            assert text.get_payload(decode=True) == (LINE * 30_000).removesuffix("\r\n").encode()
            assert plain.get_payload() == "plain"
            assert raw.get_payload(decode=True) == RAW
            assert text["Content-Transfer-Encoding"] == ("8bit" if offered else "quoted-printable")
            assert got.by == ("BDAT" if "BINARYMIME" in offered else "DATA")

    run(main())


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (RouteKind.LOCAL, UnknownRecipient, "delivered here only"),
        (RouteKind.CONNECTOR, NoRoute, "This inbox has no connector"),
    ],
)
def test_refused_at_rcpt(tmp_path: Path, kind: RouteKind, error: type[Exception], text: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.routes = Routes(None, [to("no.net", Route(kind.value, kind))])
            with pytest.raises(error, match=text):
                await it.submissions.check_recipient(principal(inbox_id=it.ann), USER, "a@no.net")

    run(main())


def test_hosts_of_a_relay_on_loopback_addresses(tmp_path: Path) -> None:
    """Each that cannot take the mail is asked once, then it rests; a refusal of the mail is final at the first."""
    _check(run(smtp_hosts.scenario(tmp_path, smtp_hosts.LOOPBACK)), smtp_hosts.LOOPBACK)


def test_hosts_of_a_relay_in_a_network_of_their_own(tmp_path: Path, missing: Callable[[str], None]) -> None:
    """The same where packets are lost, rejected or find no way, which loopback cannot show."""
    probe = subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True)
    if probe.returncode:
        missing("the right to make a network namespace")
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.faults.smtp_hosts", str(tmp_path)],
        check=False, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _check(json.loads(done.stdout.splitlines()[-1]), smtp_hosts.SPACE)


def _check(found: smtp_hosts.Findings, net: smtp_hosts.Net) -> None:
    assert found["states"] == ["sent"] * 6 + ["bounced", "sent"]
    assert found["remotes"] == [net.good] * 7 + [net.busy], "the one that works; the preferred one when it has rested"
    assert found["failures"] == found["bad"], "each is asked once and then rests, not for each message"
    assert (found["taken"], found["turned_away"]) == (6, 1)
    assert found["spared"] == 0, "a refusal of the mail is final: no other host is asked"

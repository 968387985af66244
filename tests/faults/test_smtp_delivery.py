"""The queue against a relay that refuses or drops at each stage: nothing is lost, nothing comes twice but by policy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.delivery.routes import Routes
from gateway.delivery.schedule import Schedule
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.store import inboxes
from tests.faults.smtp_kit import SECRET, USER, Certificates, certificates, door, envelope_of, principal, run
from tests.faults.smtp_relay import DROP, Relay, Script, relay
from tests.faults.smtp_store import House, house
from tests.support.queue import claim_due

MESSAGE = (
    b"From: ann@example.org\r\nTo: eve@elsewhere.net\r\nBcc: x@elsewhere.net\r\nMessage-ID: <orig@example.org>\r\n"
    b"Subject: hi\r\n\r\n.dot\r\nbody\r\n"
)


async def submit(it: House, *recipients: str, message: bytes = MESSAGE, **envelope: object) -> None:
    who = principal(inbox_id=it.ann)
    values: dict[str, object] = {"mail_from": USER, **envelope}
    arrival = it.submissions.begin(envelope_of(who, recipients=recipients or ("eve@elsewhere.net",), **values))
    await arrival.write(message)
    await arrival.finish()


def numbered(number: int) -> bytes:
    """One of several messages: the same one again would be known and not sent twice."""
    return MESSAGE.replace(b"orig@", b"orig%d@" % number)


async def settled(it: House) -> bool:
    """Nothing is queued or under way: every recipient has an end or a time."""
    return not {"queued", "sending"} & set(await it.states())


async def attempted(it: House, times: int = 1) -> bool:
    entries = await it.queue()
    return all(person.attempts >= times for entry in entries for person in entry.recipients) and await settled(it)


async def later(it: House, seconds: float = 100_000.0) -> None:
    """Time passes; the runner's next poll sees it."""
    it.now += seconds


def test_delivered_as_it_was_accepted(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            async with it.runner():
                await submit(it, "eve@elsewhere.net", "joe@other.net")
                await it.until(lambda: settled(it))
                assert await it.states() == ["sent", "sent"]
            [mail] = peer.taken
            assert mail.mail_from == USER
            assert sorted(mail.recipients) == ["eve@elsewhere.net", "joe@other.net"]
            assert mail.octets.endswith(b"\r\n\r\n.dot\r\nbody\r\n")
            assert mail.octets.startswith(b"Received: by mail.example.org")
            assert b"Bcc" not in mail.octets
            assert b"Return-Path" not in mail.octets
            assert mail.parameters == f"SIZE={len(mail.octets)}"
            assert await it.mail(it.ann) == []
            assert peer.commands[0] == "EHLO mail.example.org"

    run(main())


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE " + "9" * 20, "SIZE " + "9" * 5000, "SIZE \u0663"])
def test_a_size_that_limits_nothing(tmp_path: Path, size: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.extensions = [size]
            async with it.runner():
                await submit(it)
                await it.until(lambda: attempted(it))
                assert await it.states() == ["sent"]
            assert len(peer.taken) == 1

    run(main())


def test_one_connection_for_many_messages(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            for number in range(6):
                await submit(it, message=numbered(number))
            async with it.runner(connections=1):
                await it.until(lambda: settled(it))
            assert len(peer.taken) == 6
            assert peer.connections == 1

    run(main())


def test_kept_connection_that_died_is_no_failed_attempt(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.extend([{}, {"mail": DROP}])
            await submit(it)
            await submit(it, message=numbered(1))
            async with it.runner(connections=1):
                await it.until(lambda: _all(it, "sent"))
            assert peer.connections == 2
            assert [entry.recipients[0].attempts for entry in await it.queue()] == [1, 1]

    run(main())


# Before the final dot the relay has nothing, so that the next attempt is no repetition.
@pytest.mark.parametrize(
    "script",
    [
        {"greeting": DROP}, {"greeting": "421 4.3.2 later"}, {"greeting": "554 5.7.1 go away"}, {"ehlo": DROP},
        {"mail": DROP}, {"mail": "421 4.3.2 later"}, {"mail": "451 4.3.0 later"}, {"mail": "nonsense"},
        {"rcpt": DROP}, {"rcpt": "450 4.2.1 greylisted"}, {"rcpt": "421 4.3.2 later"},
        {"data": DROP}, {"data": "451 4.3.0 later"}, {"data": "503 5.5.1 what?"},
        {"body": DROP}, {"body": "452 4.3.1 full"}, {"final-dot": "451 4.7.1 later"}, {"final-dot": "421 4.3.2 later"},
    ],
)  # fmt: skip
def test_temporary_failures_are_tried_again_and_come_once(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append(script)
            async with it.runner():
                await submit(it)
                await it.until(lambda: attempted(it))
                assert await it.states() == ["deferred"]
                assert peer.taken == []
                [entry] = await it.queue()
                assert entry.recipients[0].next_attempt == int(it.now) + 60
                await later(it)
                await it.until(lambda: attempted(it, 2))
                assert await it.states() == ["sent"]
            assert len(peer.taken) == 1
            assert await it.mail(it.ann) == []

    run(main())


@pytest.mark.parametrize(
    "script",
    [
        {"mail": "550 5.7.1 no"}, {"rcpt": "550 5.1.1 nobody"}, {"data": "554 5.5.0 no"}, {"body": "552 5.3.4 big"},
        {"final-dot": "550 5.7.1 spam"},
    ],
)  # fmt: skip
def test_permanent_failures_come_back_once(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append(script)
            async with it.runner():
                await submit(it, envelope_id="QQ314159")
                await it.until(lambda: settled(it))
                assert await it.states() == ["bounced"]
            assert peer.taken == []
            [bounce] = await it.mail(it.ann)
            [reply] = script.values()
            code, enhanced, _ = reply.split(" ", 2)
            for expected in (
                b"Return-Path: <>\r\n", b"Auto-Submitted: auto-replied\r\n", b"report-type=delivery-status",
                b"Final-Recipient: rfc822; eve@elsewhere.net\r\nAction: failed\r\n",
                b"Status: " + enhanced.encode() + b"\r\n",
                b"Diagnostic-Code: smtp; " + reply.encode() + b"\r\n", b"Original-Envelope-Id: QQ314159\r\n",
                b"In-Reply-To: <orig@example.org>\r\n", b"Message-ID: <orig@example.org>\r\n",
                b"To: <ann@example.org>\r\n",
            ):  # fmt: skip
                assert expected in bounce.octets
            assert b"Bcc" not in bounce.octets
            [entry] = await it.queue()
            assert entry.submission.finished_at is not None
            assert entry.recipients[0].code == int(code)

    run(main())


def test_partial_refusal(tmp_path: Path) -> None:
    """Each recipient has its own end; only the refused one is in the bounce."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"rcpt2": "550 5.1.1 nobody"})
            async with it.runner():
                await submit(it, "eve@elsewhere.net", "nobody@elsewhere.net")
                await it.until(lambda: settled(it))
                assert await it.states() == ["sent", "bounced"]
            assert [mail.recipients for mail in peer.taken] == [["eve@elsewhere.net"]]
            [bounce] = await it.mail(it.ann)
            assert b"<nobody@elsewhere.net>" in bounce.octets
            assert b"<eve@elsewhere.net>" not in bounce.octets

    run(main())


def test_full_transaction_goes_on_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"rcpt2": "452 4.5.3 too many"})
            async with it.runner():
                await submit(it, "eve@elsewhere.net", "joe@elsewhere.net")
                await it.until(lambda: attempted(it))
                await it.until(lambda: _all(it, "sent"))
            assert [mail.recipients for mail in peer.taken] == [["eve@elsewhere.net"], ["joe@elsewhere.net"]]

    run(main())


async def _all(it: House, state: str) -> bool:
    return set(await it.states()) == {state}


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_loss_after_the_final_dot_is_a_policy(tmp_path: Path, policy: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"final-dot": DROP})
            async with it.runner(unknown_outcome=policy):
                await submit(it)
                if policy == "hold":
                    await it.until(lambda: _all(it, "held"))
                    await later(it)
                else:
                    await it.until(lambda: attempted(it))
                    await later(it)
                    await it.until(lambda: _all(it, "sent"))
            assert len(peer.unsure) == 1, "the relay had all of it"
            assert len(peer.taken) == (1 if policy == "resend" else 0)
            assert await it.mail(it.ann) == []

    run(main())


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_crash_in_the_middle_of_an_attempt(tmp_path: Path, policy: str) -> None:
    """A runner that dies holding a lease: the next one takes the row over, as the policy says."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            await submit(it)
            claimed = await it.db.write(lambda tx: claim_due(tx, int(it.now), 10, 900, "dead"))
            assert len(claimed) == 1
            async with it.runner(unknown_outcome=policy):
                await it.until(lambda: settled(it))
                assert await it.states() == ["sent" if policy == "resend" else "held"]
            assert len(peer.taken) == (1 if policy == "resend" else 0)

    run(main())


def test_null_sender_is_never_bounced(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"rcpt": "550 5.1.1 nobody"})
            async with it.runner():
                await submit(it, mail_from="")
                await it.until(lambda: settled(it))
                assert await it.states() == ["bounced"]
            assert await it.mail(it.ann) == []

    run(main())


def test_given_up_after_its_lifetime(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.extend([{"mail": "451 4.3.0 not today"}] * 2)
            async with it.runner(schedule=Schedule(first=60, lifetime=3600)):
                await submit(it)
                await it.until(lambda: attempted(it))
                await later(it, 3600)
                await it.until(lambda: _all(it, "bounced"))
            [bounce] = await it.mail(it.ann)
            assert b"Status: 4.4.7\r\n" in bounce.octets
            assert b"not today" in bounce.octets

    run(main())


def test_without_a_route_mail_waits(tmp_path: Path) -> None:
    """The relay was taken out of the configuration while mail was queued, and comes back."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            routes, it.routes = it.routes, it.routes
            await submit(it)
            it.routes = Routes()
            async with it.runner() as runner:
                await it.until(lambda: attempted(it))
                assert await it.states() == ["deferred"]
                runner.routes = routes
                await later(it)
                await it.until(lambda: _all(it, "sent"))

    run(main())


def test_refused_login_keeps_mail_and_is_tried_once_a_pause(tmp_path: Path) -> None:
    tls = certificates(tmp_path)

    async def main() -> None:
        peer = Relay(tls=tls.server, extensions=["AUTH CRAM-MD5 PLAIN LOGIN"])
        async with house(tmp_path) as it, relay(peer, implicit_tls=True):
            it.use_relay(
                peer.port, tls=TlsPolicy(Security.TLS, tls.ca_file), login=RelayLogin("me", "secret", Mechanism.AUTO)
            )
            peer.scripts.append({"auth": "535 5.7.8 wrong"})
            async with it.runner():
                await submit(it)
                await it.until(lambda: attempted(it))
                assert await it.states() == ["deferred"]
                assert [line for line in peer.commands if "me" in line] == ["|me|secret"], "one mechanism, once"
                peer.scripts.clear()
                await later(it)
                await it.until(lambda: _all(it, "sent"))
            assert await it.mail(it.ann) == []

    run(main())


@pytest.mark.parametrize("how", ["starttls", "no-starttls", "wrong-ca", "no-ca-file"])
def test_tls_to_the_relay(tmp_path: Path, how: str) -> None:
    tls: Certificates = certificates(tmp_path)

    async def main() -> None:
        peer = Relay(tls=tls.server, starttls=how == "starttls")
        async with house(tmp_path) as it, relay(peer, implicit_tls=how == "wrong-ca"):
            security = Security.TLS if how == "wrong-ca" else Security.STARTTLS
            ca = {"wrong-ca": None, "no-ca-file": tmp_path / "missing.pem"}.get(how, tls.ca_file)
            it.use_relay(peer.port, tls=TlsPolicy(security, ca))
            async with it.runner():
                await submit(it)
                await it.until(lambda: attempted(it))
                assert await it.states() == ["sent" if how == "starttls" else "deferred"]
                [entry] = await it.queue()
                said = (entry.recipients[0].text or b"").decode()
            assert len(peer.taken) == (1 if how == "starttls" else 0)
            if how == "no-starttls":
                assert "STARTTLS" in said
            if how == "wrong-ca":
                assert "certificate" in said
            if how == "no-ca-file":
                assert "missing.pem" in said

    run(main())


def test_private_addresses_are_refused_unless_allowed(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port, allow_private=False)
            async with it.runner():
                await submit(it)
                await it.until(lambda: attempted(it))
                assert await it.states() == ["deferred"]
            assert peer.connections == 0

    run(main())


def test_unreachable_relay_is_not_asked_for_each_message(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            for number in range(20):
                await submit(it, message=numbered(number))
            peer.scripts.extend([{"greeting": "421 4.3.2 no"}] * 20)
            async with it.runner(connections=2):
                await it.until(lambda: _paused(it))
                assert peer.connections <= 2
                peer.scripts.clear()
                await later(it)
                await it.until(lambda: _all(it, "sent"))
            assert len(peer.taken) == 20

    run(main())


async def _paused(it: House) -> bool:
    """Those that were tried wait for their time; the others were given back untried."""
    states = await it.states()
    return "deferred" in states and "sending" not in states


def test_stop_lets_the_running_one_finish_and_gives_back_the_rest(tmp_path: Path) -> None:
    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            for number in range(3):
                await submit(it, message=numbered(number))
            async with it.runner(connections=1) as runner:
                await peer.at_dot.wait()
                runner.stop()
                assert peer.hold is not None
                peer.hold.set()
            assert sorted(await it.states()) == ["queued", "queued", "sent"]
            async with it.runner():
                await it.until(lambda: _all(it, "sent"))
            assert len(peer.taken) == 3

    run(main())


def test_stop_cuts_what_does_not_finish(tmp_path: Path) -> None:
    """After the dot the outcome is unknown and stays so: the row keeps its lease and comes back as interrupted."""

    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            await submit(it)
            async with it.runner(stop_s=0.05) as runner:
                await peer.at_dot.wait()
                runner.stop()
            assert await it.states() == ["sending"]
            peer.hold = None
            async with it.runner():
                await it.until(lambda: _all(it, "sent"))

    run(main())


def test_lease_that_lapses_while_sending_is_not_sent_twice(tmp_path: Path) -> None:
    """The clock jumps over the lease in the middle of an attempt: the row is ours and under way, and stays so."""

    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            await submit(it)
            async with it.runner():
                await peer.at_dot.wait()
                await later(it)

                async def renewed() -> bool:
                    [entry] = await it.queue()
                    until = entry.recipients[0].lease_until
                    return until is not None and until > it.now

                await it.until(renewed)
                assert peer.hold is not None
                peer.hold.set()
                await it.until(lambda: _all(it, "sent"))
            assert len(peer.taken) == 1
            assert peer.connections == 1

    run(main())


@pytest.mark.parametrize("implicit", [True, False])
def test_our_own_submission_as_the_relay(tmp_path: Path, implicit: bool) -> None:
    """Both ends of the protocol meet: TLS, login, UTF-8 addresses, dots, a decoder that takes no bare CR or LF."""
    tls: Certificates = certificates(tmp_path)

    async def main() -> None:
        async with house(tmp_path) as it, door(tls, implicit_tls=implicit) as peer:
            security = Security.TLS if implicit else Security.STARTTLS
            it.use_relay(
                peer.server.port,
                host="localhost",
                tls=TlsPolicy(security, tls.ca_file, "1.3"),
                login=RelayLogin(USER, SECRET, Mechanism.LOGIN),
            )
            message = "From: ann@example.org\r\nSubject: für\r\n\r\n.\r\n..\r\nzoë\r\n".encode()
            async with it.runner():
                await submit(it, "zoë@elsewhere.net", "nobody@example.net", message=message, smtputf8=True)
                await it.until(lambda: _all(it, "sent"))
            [(envelope, octets)] = peer.acceptor.accepted
            assert [each.address for each in envelope.recipients] == ["zoë@elsewhere.net", "nobody@example.net"]
            assert envelope.smtputf8
            assert envelope.body_8bit
            assert octets.endswith("\r\n\r\n.\r\n..\r\nzoë\r\n".encode())

    run(main())


def test_stop_before_the_dot_leaves_no_doubt(tmp_path: Path) -> None:
    """Cut while the relay had no whole message: it is due at once, was no attempt, and is not held."""

    async def main() -> None:
        peer = Relay(stall_at="rcpt")
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            await submit(it)
            async with it.runner(stop_s=0.01, unknown_outcome="hold") as runner:
                await peer.stalled.wait()
                runner.stop()
            [entry] = await it.queue()
            assert [(str(person.state), person.attempts) for person in entry.recipients] == [("queued", 0)]
            peer.stall_at = ""
            peer.released.set()
            async with it.runner(unknown_outcome="hold"):
                await it.until(lambda: _all(it, "sent"))
            assert len(peer.taken) == 1

    run(main())


def test_deleted_inbox_cancels_its_queue(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            await submit(it)
            await it.db.write(lambda tx: inboxes.delete_inbox(tx, it.ann, int(it.now)))
            async with it.runner():
                await it.until(lambda: settled(it))
                assert await it.states() == ["cancelled"]
            assert peer.taken == []

    run(main())


def test_large_message_streams_through(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            body = b"".join(b".%07d\r\n" % number for number in range(150_000))
            async with it.runner():
                await submit(it, message=b"From: ann@example.org\r\n\r\n" + body)
                await it.until(lambda: settled(it))
                assert await it.states() == ["sent"]
            assert peer.taken[0].octets.endswith(b"\r\n\r\n" + body)

    run(main())


@pytest.mark.parametrize("offered", [True, False])
def test_utf8_addresses(tmp_path: Path, offered: bool) -> None:
    async def main() -> None:
        peer = Relay(extensions=["SMTPUTF8"] if offered else [])
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            async with it.runner():
                await submit(it, "eve@bücher.example", "zoë@elsewhere.net", smtputf8=True)
                await it.until(lambda: settled(it))
                states = await it.states()
            [mail] = peer.taken
            if offered:
                assert states == ["sent", "sent"]
                assert mail.recipients == ["eve@bücher.example", "zoë@elsewhere.net"]
                assert mail.parameters == "SMTPUTF8"
            else:
                assert states == ["sent", "bounced"]
                assert mail.recipients == ["eve@xn--bcher-kva.example"]
                [bounce] = await it.mail(it.ann)
                assert "Final-Recipient: utf-8; zoë@elsewhere.net".encode() in bounce.octets
                assert b"Status: 5.6.7" in bounce.octets

    run(main())

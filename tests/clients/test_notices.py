"""What senders are told, by the real process: a scripted relay behind it, notices by IMAP, the story by the CLI."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import Any, cast

from imapclient import IMAPClient

from tests.faults.smtp_relay import Relay, relay
from tests.support.gateway import HOST, Gateway

ANN, BOB = "ann@mail.test", "bob@mail.test"
MESSAGE = "From: {sender}\r\nTo: {to}\r\nMessage-ID: <{name}@mail.test>\r\nSubject: {name}\r\n\r\nhello\r\n"


@contextmanager
def peer(*extensions: str) -> Iterator[Relay]:
    """A relay on a thread of its own."""
    made = Relay()
    made.extensions.extend(extensions)
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(over.set))
        async with relay(made):
            ready.set()
            await over.wait()

    def work() -> None:
        with asyncio.Runner() as runner:  # ends its connections too
            runner.run(serve())

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        end[0]()
        thread.join()


def settings(port: int) -> str:
    return (
        f'[relay]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nallow_private = true\n'
        "[queue]\nfirst_retry = 3600\ndelay_notice = 1\n"
    )


def send(gateway: Gateway, who: tuple[str, str], name: str, *recipients: tuple[str, Sequence[str]]) -> None:
    with gateway.smtp(*who) as client:
        assert client.ehlo()[0] == 250
        assert client.has_extn("dsn")
        code, _ = client.mail(who[0], ["RET=FULL", f"ENVID={name}"])
        assert code == 250
        for address, options in recipients:
            assert client.rcpt(address, options)[0] == 250
        assert client.data(MESSAGE.format(sender=who[0], to=recipients[0][0], name=name).encode())[0] == 250


def notices(gateway: Gateway, who: tuple[str, str], count: int) -> list[Message]:
    """The first messages of the inbox, as soon as there are so many."""
    with IMAPClient(HOST, gateway.imaps, ssl=True, ssl_context=gateway.tls(), timeout=30) as client:
        client.login(*who)
        client.select_folder("INBOX")
        client.idle()
        deadline = time.monotonic() + 30
        found: list[int] = []
        while len(found) < count:
            assert time.monotonic() < deadline, gateway.log_tail()
            client.idle_check(timeout=2)
            client.idle_done()
            found = client.search()
            client.idle()
        client.idle_done()
        octets = client.fetch(found, ["BODY.PEEK[]"])
    return [email.message_from_bytes(octets[uid][b"BODY[]"], policy=email.policy.default) for uid in found]


def told(report: Message) -> dict[str, tuple[str, str]]:
    """Recipient -> action and status."""
    assert not report.defects
    assert report.get_content_type() == "multipart/report"
    blocks = cast("list[Message]", cast("list[Message]", report.get_payload())[1].get_payload())
    return {each["Final-Recipient"]: (each["Action"], each["Status"]) for each in blocks[1:]}


def history(gateway: Gateway, recipient: str, state: str) -> dict[str, Any]:
    """`gateway queue show` of what was sent to the recipient, once it is in that state."""
    deadline = time.monotonic() + 30
    while not (rows := gateway.json("queue", "list", "--to", recipient, "--state", state)):
        assert time.monotonic() < deadline, gateway.log_tail()
    shown: dict[str, Any] = gateway.json("queue", "show", rows[0]["id"])
    return shown


def test_refused_deferred_and_accepted(make_gateway: Callable[..., Gateway]) -> None:
    with peer() as far:
        gateway = make_gateway(settings(far.port))
        gateway.start()
        ann, bob = gateway.inbox(ANN), gateway.inbox(BOB)

        far.scripts.append({"rcpt": "550 5.1.1 nobody\tof that name"})
        send(gateway, ann, "refused", ("eve@far.test", ["ORCPT=rfc822;Eve@far.test"]))
        [refused] = notices(gateway, ann, 1)
        assert told(refused) == {"rfc822; eve@far.test": ("failed", "5.1.1")}
        assert "Message-ID: <refused@mail.test>" in refused.as_string()
        assert "hello" in refused.as_string()

        send(gateway, ann, "relayed", ("joe@far.test", ["NOTIFY=SUCCESS"]))
        assert told(notices(gateway, ann, 2)[1]) == {"rfc822; joe@far.test": ("relayed", "2.0.0")}

        send(gateway, ann, "here", (BOB, ["NOTIFY=SUCCESS,FAILURE"]))
        assert told(notices(gateway, ann, 3)[2]) == {"rfc822; bob@mail.test": ("delivered", "2.1.5")}

        far.scripts.append({"rcpt": "450 4.2.1 not now"})
        send(gateway, ann, "late", ("zoe@far.test", []))
        assert told(notices(gateway, ann, 4)[3]) == {"rfc822; zoe@far.test": ("delayed", "4.2.1")}
        late = history(gateway, "zoe@far.test", "deferred")
        assert [event["event"] for event in late["history"]] == ["accepted", "deferred", "told"]

        # What "far" took for joe comes back as such a report, in bob's name: the inbox that it comes to decides.
        report = refused.as_bytes(policy=email.policy.SMTP)
        changes = ((b"eve@", b"joe@"), (b"Eve@", b"Joe@"), (b": refused", b": relayed"), (b"<refused@", b"<relayed@"))
        for old, new in changes:
            report = report.replace(old, new)
        with gateway.smtp(*bob) as client:
            client.sendmail("", [ANN], report.replace(b"From: Mail Delivery System <mailer-daemon@", b"From: <bob@", 1))
        shown = history(gateway, "joe@far.test", "bounced")
        assert [event["event"] for event in shown["history"]] == ["accepted", "sent", "bounced"]
        assert (shown["history"][-1]["remote"], shown["history"][-1]["code"]) == ("mail.test", 550)
        assert len(notices(gateway, ann, 5)) == 5


def test_a_report_that_came_before_a_crash_is_read_after_it(make_gateway: Callable[..., Gateway]) -> None:
    """The note is in the unit that delivered it; the rest is done by whoever comes next."""
    with peer() as far:
        gateway = make_gateway(settings(far.port))
        gateway.start()
        ann, bob = gateway.inbox(ANN), gateway.inbox(BOB)
        send(gateway, ann, "one", ("eve@far.test", ["NOTIFY=SUCCESS"]))
        notices(gateway, ann, 1)
        with gateway.smtp(*bob) as client:
            client.sendmail("", [ANN], (
                "From: bob@mail.test\r\nX-Failed-Recipients: eve@far.test\r\nSubject: Mail delivery failed\r\n\r\n"
                "550 5.1.1 unknown\r\n\r\nMessage-ID: <one@mail.test>\r\n"
            ))  # fmt: skip
        gateway.kill()
        gateway.start()
        shown = history(gateway, "eve@far.test", "bounced")
        assert [event["event"] for event in shown["history"]] == ["accepted", "sent", "bounced"]

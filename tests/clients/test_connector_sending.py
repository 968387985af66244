"""Mail from the address of an account leaves through the account: the real process, a scripted server elsewhere."""

from __future__ import annotations

import asyncio
import smtplib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.smtp_peer import Peer
from tests.servers.process import wait_for
from tests.support.gateway import Gateway

ACCOUNT = "me@elsewhere.test"


@contextmanager
def elsewhere(peer: Peer) -> Iterator[Peer]:
    """The peer on a loop of its own, for the clients of these tests block this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    server = there(asyncio.start_server(peer.serve, "127.0.0.1", 0))
    peer.port = server.sockets[0].getsockname()[1]

    async def stop() -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    try:
        yield peer
    finally:
        there(stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def connect(gateway: Gateway, peer: Peer, *more: str) -> None:
    gateway.run(
        "connector", "add", "work", "--email", ACCOUNT, "--smtp-host", "127.0.0.1", "--set", f"smtp.port={peer.port}",
        "--set", "smtp.security=none", "--set", "smtp.allow_private=yes", "--inbox", gateway.address, *more,
    )  # fmt: skip


def send(gateway: Gateway, sender: str, subject: str) -> None:
    with gateway.smtp() as smtp:
        text = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@test>\r\n\r\nbody\r\n"
        smtp.sendmail(sender, ["you@third.test"], text)


def events(gateway: Gateway) -> list[dict[str, Any]]:
    return list(gateway.json("connector", "events", "work", "--kind", "send"))


def test_mail_from_the_account_s_address_goes_out_through_it(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    with elsewhere(Peer()) as peer:
        connect(gateway, peer)
        wait_for(lambda: gateway.json("queue", "route", ACCOUNT, "you@third.test")["way"] == "connector", "the route")
        send(gateway, ACCOUNT, "one")
        wait_for(lambda: peer.got, "the message")
        assert ACCOUNT in peer.got[0].mail
        assert b"Subject: one" in peer.got[0].octets
        wait_for(lambda: events(gateway), "the event")
        [event] = events(gateway)
        assert (event["status"], event["failure"], event["connector"]) == ("SUCCESS", None, "work")
        assert event["detail"]["recipients"][0]["address"] == "you@third.test"
        assert "you@third.test" in gateway.run("connector", "events", "work", "--logs") or event["message"]

    gateway.stop()


def test_an_account_that_is_switched_off_says_so_and_one_that_is_removed_too(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway()
    gateway.start()
    with elsewhere(Peer(replies={"MAIL": ["451 4.3.0 later"] * 2})) as peer:
        connect(gateway, peer)
        wait_for(lambda: gateway.json("queue", "route", ACCOUNT, "you@third.test")["way"] == "connector", "the route")
        send(gateway, ACCOUNT, "one")
        wait_for(lambda: [row["state"] for row in gateway.json("queue", "list")] == ["deferred"], "an attempt")
        gateway.run("connector", "disable", "work")
        wait_for(lambda: gateway.json("queue", "route", ACCOUNT, "you@third.test")["way"] == "refused", "the refusal")
        off = f"Account work ({ACCOUNT}) is switched off; to send: gateway connector enable work"
        assert gateway.json("queue", "route", ACCOUNT, "you@third.test")["reply"] == "550 5.7.1"
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(gateway, ACCOUNT, "two")
        assert refused.value.recipients == {"you@third.test": (550, f"5.7.1 {off}".encode())}
        gateway.run("queue", "retry", "--all", "--yes")
        wait_for(lambda: gateway.json("queue", "list")[0]["text"] == off, "the reason of what waits")

        gateway.run("connector", "enable", "work")  # once more it is not taken, and waits for its time
        wait_for(lambda: gateway.json("queue", "list")[0]["text"] == "later", "an attempt at once")
        [row] = gateway.json("queue", "list")
        assert "1 in the queue) is returned to the inbox" in gateway.run("connector", "remove", "work", "--yes")
        wait_for(lambda: not gateway.json("queue", "list"), "its end")
        shown = gateway.run("queue", "show", row["id"])
        assert "Account work, which was to send it, was removed" in shown
        assert "connect it again and send this again, or send it from another address" in shown
        assert peer.got == []
        with gateway.imap() as imap:
            imap.select("INBOX")
            wait_for(lambda: imap.noop() and imap.search(None, "SUBJECT", "Undeliver")[1] != [b""], "the report")
    gateway.stop()


def test_what_the_server_refuses_comes_back_and_is_an_event(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    with elsewhere(Peer(replies={"RCPT": ["550 5.1.1 nobody here"]})) as peer:
        connect(gateway, peer)
        wait_for(lambda: gateway.json("queue", "route", ACCOUNT, "you@third.test")["way"] == "connector", "the route")
        send(gateway, ACCOUNT, "two")
        wait_for(lambda: events(gateway), "the event")
        [event] = events(gateway)
        assert event["status"] == "FAILED"
        assert "nobody here" in event["message"]
        with gateway.imap() as imap:
            imap.select("INBOX")
            wait_for(lambda: imap.noop() and imap.search(None, "SUBJECT", "Undeliver")[1] != [b""], "the report")
    gateway.stop()

"""The scripted upstream as a process of its own, and with many connections."""

from __future__ import annotations

import asyncio
import imaplib
import smtplib
import ssl
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.upstream import COURIER, DOVECOT, FakeUpstream, UpstreamProcess, digest, example
from tests.unit.support_upstream.raw import connected, selected


def test_it_is_driven_from_outside() -> None:
    options = ["--personality", "gmail", "--messages", "2", "--accounts", "2", "--smtp", "--files-sent"]
    with UpstreamProcess(*options) as up:
        client = imaplib.IMAP4(up.host, up.port, timeout=30)
        client.login("user2@upstream.test", "secret")
        assert client.select() == ("OK", [b"2"])
        octets = example(99, body="Grüße\r\n")
        assert up.call("deliver", "INBOX", octets=octets, user="user2@upstream.test") == 3
        assert client.noop()[0] == "OK"
        assert client.untagged_responses["EXISTS"][-1] == b"3"
        assert up.snapshot("user2@upstream.test")["INBOX"][3] == (frozenset(), digest(octets))
        up.call("arm", "Refuse", "NOOP", "NO not now")
        assert client.noop() == ("NO", [b"not now"])
        with smtplib.SMTP(up.host, up.smtp_port, timeout=30) as smtp:
            smtp.login("user@upstream.test", "secret")
            smtp.sendmail("user@upstream.test", ["a@b.test"], octets)
        assert up.call("taken") == [[octets.decode("latin-1"), True]]
        assert len(up.snapshot()["[Gmail]/Sent Mail"]) == 1
        assert [name for name, _ in up.call("log")][:3] == ["CAPABILITY", "LOGIN", "SELECT"]
        assert up.call("violations") == []
        up.call("arm_call", "STATUS", "expunge", "[Gmail]/Sent Mail", 1)
        client.status("INBOX.none", "(MESSAGES)")
        assert up.snapshot()["[Gmail]/Sent Mail"] == {}
        up.call("set", "refuse_login", "NO [LIMIT] enough")
        other = imaplib.IMAP4(up.host, up.port, timeout=30)
        with pytest.raises(imaplib.IMAP4.error, match="enough"):
            other.login("user@upstream.test", "secret")
        other.shutdown()
        with pytest.raises(RuntimeError, match="KeyError"):
            up.call("deliver", "Nowhere")
        client.shutdown()


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with UpstreamProcess("--tls", str(authority.leaf().file)) as up:
        client = imaplib.IMAP4_SSL("localhost", up.port, ssl_context=trusting, timeout=30)
        client.login("user@upstream.test", "secret")
        client.logout()


def test_an_outage_keeps_the_mail() -> None:
    async def run() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server:
            async with selected(server) as client:
                await server.stop()
                assert await client.line() == b""
            with pytest.raises(ConnectionRefusedError):
                async with connected(server):
                    raise AssertionError("somebody listens")
            await server.start()
            async with selected(server) as client:
                assert (await client.ask("a UID SEARCH ALL"))[0] == "* SEARCH 1 2"
                server.hang_up()
                assert await client.line() == b""

    asyncio.run(run())


def test_a_hundred_sessions_idle_and_all_hear_of_new_mail() -> None:
    async def one(server: FakeUpstream) -> bytes:
        async with selected(server, "EXAMINE INBOX") as client:
            client.send(b"i IDLE\r\n")
            assert await client.line() == b"+ idling\r\n"
            return await client.line()

    async def run() -> None:
        async with FakeUpstream(COURIER, mailboxes={"INBOX": 100}) as server:
            waiting = [asyncio.ensure_future(one(server)) for _ in range(100)]
            await server.until_idle("INBOX", 100)
            server.deliver()
            assert set(await asyncio.gather(*waiting)) == {b"* 101 EXISTS\r\n"}

    asyncio.run(run())

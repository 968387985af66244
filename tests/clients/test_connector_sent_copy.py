"""What goes out through an account lies in its Sent once, and once in ours, whoever files it there: real process."""

from __future__ import annotations

import imaplib
from collections.abc import Callable

import pytest

from tests.clients.test_connector_sync import subjects
from tests.servers.process import wait_for
from tests.support.gateway import Gateway
from tests.support.upstream.process import UpstreamProcess

ACCOUNT = "user@upstream.test"


def octets_of(client: imaplib.IMAP4) -> bytes:
    client.select("Sent", readonly=True)
    answer = client.fetch("1", "(BODY.PEEK[])")[1][0]
    assert isinstance(answer, tuple)
    return bytes(answer[1])


def in_sent(upstream: UpstreamProcess) -> int:
    return len(upstream.snapshot().get("Sent", {}))


@pytest.mark.parametrize("policy", ["always", "auto"])
def test_one_copy_there_and_one_here(make_gateway: Callable[..., Gateway], policy: str) -> None:
    """`always`: the server files nothing and we do. `auto`: nobody knows, so Sent is looked at, and it was filed."""
    files = ["--files-sent"] if policy == "auto" else []
    gateway = make_gateway()
    gateway.start()
    with UpstreamProcess("--messages", "2", "--smtp", *files) as upstream:
        gateway.run(
            "connector", "add", "work", "--email", ACCOUNT, "--imap-host", "127.0.0.1", "--smtp-host", "127.0.0.1",
            "--mode", "two-way", "--inbox", gateway.address, "--secret", "secret",
            "--set", f"imap.port={upstream.port}", "--set", f"smtp.port={upstream.smtp_port}",
            *(word for side in ("imap", "smtp") for key in ("security=none", "allow_private=yes")
              for word in ("--set", f"{side}.{key}")),
            "--set", f"smtp.sent_copy={policy}",
        )  # fmt: skip
        assert gateway.json("connector", "sync", "work")["success"]
        wait_for(lambda: gateway.json("connector", "show", "work")["state"] == "live", "the connection")
        with gateway.smtp() as smtp:
            text = (
                f"From: {ACCOUNT}\r\nTo: you@third.test\r\nBcc: hidden@third.test\r\n"
                "Subject: outbound\r\nMessage-ID: <outbound@test>\r\n\r\nbody\r\n"
            )
            smtp.sendmail(ACCOUNT, ["you@third.test", "hidden@third.test"], text)
        wait_for(lambda: bool(gateway.json("connector", "events", "work", "--kind", "send")), "the event")
        wait_for(lambda: in_sent(upstream) == 1, "the copy there")
        for _ in range(2):  # whatever still has to be done is done with these
            assert gateway.json("connector", "sync", "work")["success"]
        wait_for(lambda: not gateway.json("queue", "list", "--state", "queued"), "the queue")
        with gateway.imap() as here:
            wait_for(lambda: here.noop()[0] == "OK" and subjects(here, "Sent") == [b"outbound"], "the copy here")
            mine = octets_of(here)
        with imaplib.IMAP4("127.0.0.1", upstream.port) as there:
            there.login(ACCOUNT, "secret")
            filed = octets_of(there)
        assert b"Bcc: hidden@third.test" in mine
        if policy == "always":
            assert filed == mine
        else:  # the server has what it was sent
            assert b"Subject: outbound" in filed
            assert b"hidden" not in filed
        assert in_sent(upstream) == 1
    gateway.stop()

"""`sync.on_access`: who reads his mail here waits for a look at the account, in the real process."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tests.clients.test_connector_sync import at, connect, put, subjects
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway
from tests.support.upstream import UpstreamProcess

POLLED = ("--set", "sync.push=no", "--set", "sync.interval=0")
"""It looks at nothing by itself."""


def test_mail_is_here_when_somebody_looks(make_gateway: Callable[..., Gateway], dovecot: Dovecot) -> None:
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    gateway.start()
    with at(dovecot, user) as account:
        put(account, "INBOX", "before")
        account.create("Lists")
        connect(gateway, dovecot, user, *POLLED, "--set", "sync.on_access=30")
        assert gateway.json("connector", "sync", "work")["success"]
        with gateway.imap() as here, gateway.imap() as other:
            other.select("INBOX")
            put(account, "INBOX", "by SELECT")
            wait_for(lambda: b"by SELECT" in subjects(here, "INBOX"), "what SELECT looked for")
            put(account, "INBOX", "by SEARCH")
            wait_for(lambda: here.uid("SEARCH", "SUBJECT", '"by SEARCH"')[1] != [b""], "what SEARCH looked for")
            put(account, "Lists", "by STATUS")
            wait_for(lambda: b"MESSAGES 1" in here.status("Lists", "(MESSAGES)")[1][0], "what STATUS looked for")
            assert other.noop()[0] == "OK"
            assert other.response("EXISTS")[1][-1] == b"3", "another connection hears of it"
        shown = gateway.json("connector", "show", "work")
        assert (shown["state"], shown["failure"]) == ("polling", None), shown
    gateway.stop()


def test_without_it_nobody_looks_and_a_change_of_it_holds_at_once(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    gateway.start()
    with at(dovecot, user) as account:
        put(account, "INBOX", "before")
        connect(gateway, dovecot, user, *POLLED)
        assert gateway.json("connector", "sync", "work")["success"]
        put(account, "INBOX", "after")
        with gateway.imap() as here:
            assert subjects(here, "INBOX") == [b"before"]
            gateway.run("connector", "set", "work", "--set", "sync.on_access=30")
            wait_for(lambda: b"after" in subjects(here, "INBOX"), "what is looked for from now on")
            gateway.run("connector", "disable", "work")
            put(account, "INBOX", "too late")
            assert len(subjects(here, "INBOX")) == 2
    gateway.stop()


def test_an_account_that_stalls_holds_up_nobody(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    with UpstreamProcess("--messages", "3") as upstream:
        gateway.run(
            "connector", "add", "work", "--email", "user@upstream.test", "--imap-host", upstream.host, "--no-smtp",
            "--inbox", gateway.address, "--set", f"imap.port={upstream.port}", "--set", "imap.security=none",
            "--set", "imap.allow_private=yes", "--set", "imap.secret=secret", *POLLED, "--set", "sync.on_access=1",
        )  # fmt: skip
        done = gateway.json("connector", "sync", "work")
        assert done["success"], done
        upstream.call("arm", "Stall", "LIST", octets=0, times=0)
        with gateway.imap() as here:

            def late() -> bool:
                assert here.select("INBOX", readonly=True) == ("OK", [b"3"])
                return "connectors.look_late" in gateway.log_file.read_text()

            wait_for(late, "a look that was given up")
            assert here.search(None, "ALL")[1] == [b"1 2 3"]
            with gateway.imap() as other:
                assert other.select("INBOX") == ("OK", [b"3"])
    gateway.stop()

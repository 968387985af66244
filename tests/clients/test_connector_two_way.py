"""Two-way sync on the real process: a client here, another one at a real Dovecot, and both see the same."""

from __future__ import annotations

import imaplib
import uuid
from collections.abc import Callable

from tests.clients.test_connector_sync import at, connect, flagged, put, subjects
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway


def both(here: imaplib.IMAP4, there: imaplib.IMAP4, folder: str, count: int) -> bool:
    """The same mail in a folder, as both clients see it."""
    try:
        mine, theirs = subjects(here, folder), subjects(there, folder)
    except AssertionError:  # not there yet
        return False
    return mine == theirs and len(mine) == count


def test_what_a_client_does_here_is_seen_there_and_the_reverse(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    with at(dovecot, user) as account:
        for number in range(20):
            put(account, "INBOX", f"old {number}")
        account.create("Work")
        gateway.start()
        connect(gateway, dovecot, user, "--mode", "two-way")
        assert gateway.json("connector", "sync", "work")["success"]
        wait_for(lambda: gateway.json("connector", "show", "work")["state"] == "live", "the push")
        with gateway.imap() as here:
            here.select("INBOX")
            here.store("1:3", "+FLAGS", "(\\Flagged $Later)")
            wait_for(lambda: account.noop()[0] == "OK" and len(flagged(account)) == 3, "the flags there")
            assert here.create("Lists/Gateway")[0] == "OK"
            here.select("INBOX")
            assert here.xatom("MOVE", "4:5", "Lists/Gateway")[0] == "OK"
            here.store("4", "+FLAGS", "(\\Deleted)")
            here.expunge()
            put(here, "Drafts", "a draft", "(\\Draft)")
            wait_for(lambda: both(here, account, "Drafts", 1), "the draft there")
            wait_for(lambda: both(here, account, "INBOX", 17), "the inbox")
            wait_for(lambda: both(here, account, "Trash", 1), "what was deleted is in Trash")
            wait_for(lambda: both(here, account, "Lists/Gateway", 2), "what was moved into a new mailbox")

            put(account, "INBOX", "brand new")
            account.select("INBOX")
            account.store("1", "+FLAGS", "(\\Answered)")
            account.copy("2", "Work")
            wait_for(lambda: both(here, account, "INBOX", 18), "what came there")
            assert gateway.json("connector", "sync", "work")["success"]  # else folders that are not watched wait
            assert both(here, account, "Work", 1)
        gateway.stop()
        gateway.start()
        with gateway.imap() as here:
            here.select("INBOX")
            here.store("1", "+FLAGS", "(\\Seen)")
            wait_for(lambda: bool(account.noop()) and seen(account) == seen(here), "a flag after a restart")
            assert both(here, account, "INBOX", 18)
    gateway.stop()


def seen(imap: imaplib.IMAP4) -> int:
    imap.select("INBOX", readonly=True)
    return len(imap.search(None, "SEEN")[1][0].split())

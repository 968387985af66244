"""Mailboxes against a scripted peer: LIST in all its forms, STATUS, SELECT and what it tells, what comes unasked."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.outbound.failure import Failure
from gateway.upstream import folders
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed, Refused
from gateway.upstream.events import Namespaces
from gateway.upstream.values import FetchedMessage, MailboxStatus, News, Selected
from tests.unit.upstream.script import talk


def listed(script: str, capabilities: str = "", status: tuple[str, ...] = ()) -> dict[bytes, Any]:
    async def work(client: ImapClient) -> dict[bytes, Any]:
        found = await client.list_mailboxes(status)
        assert len({mailbox.raw for mailbox in found}) == len(found)
        return {mailbox.raw: (sorted(mailbox.attributes), mailbox.status) for mailbox in found}

    return talk(script, work, capabilities)


def test_all_in_one_command() -> None:
    script = """
    C: A1 LIST "" "*" RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT HIGHESTMODSEQ))
    S: * LIST (\\Sent) "/" Sent
    S: * STATUS "Sent" (MESSAGES 3 UIDNEXT 4 HIGHESTMODSEQ 5)
    S: * LIST () "/" INBOX
    S: * STATUS Inbox (MESSAGES 1)
    S: * LIST (\\NoSelect) "/" x
    S: A1 OK done
    """
    assert listed(
        script, "LIST-EXTENDED SPECIAL-USE LIST-STATUS CONDSTORE", ("MESSAGES", "UIDNEXT", "HIGHESTMODSEQ", "SIZE")
    ) == {
        b"Sent": (["\\sent"], MailboxStatus(3, 4, highest_modseq=5)),
        b"INBOX": ([], MailboxStatus(1)),
        b"x": (["\\noselect"], None),
    }


@pytest.mark.parametrize(
    ("command", "capabilities"),
    [('LIST "" "*"', ""), ('LIST "" "*"', "SPECIAL-USE XLIST"), ('XLIST "" "*"', "XLIST"),
     ('LIST "" "*" RETURN (SPECIAL-USE)', "SPECIAL-USE LIST-EXTENDED")],
)  # fmt: skip
def test_forms(command: str, capabilities: str) -> None:
    script = f'C: A1 {command}\nS: * LIST (\\Sent) "/" S\nS: A1 OK done'
    assert listed(script, capabilities) == {b"S": (["\\sent"], None)}


def test_a_long_form_that_is_refused_is_not_asked_for_again() -> None:
    script = """
    C: A1 LIST "" "*" RETURN (SPECIAL-USE)
    S: A1 BAD what
    C: A2 LIST "" "*"
    S: * LIST () "/" INBOX
    S: * LIST (\\Trash) "/" INBOX
    S: A2 OK done
    C: A3 LIST "" "*"
    S: A3 OK done
    C: A4 LSUB "" "*"
    S: * LSUB () "/" y
    S: A4 OK done
    """

    async def work(client: ImapClient) -> None:
        (found,) = await client.list_mailboxes()
        assert found.attributes == {"\\trash"}
        (found,) = await client.list_mailboxes()
        assert found.raw == b"y"

    talk(script, work, "SPECIAL-USE LIST-EXTENDED")


def test_a_refused_list_is_an_error() -> None:
    with pytest.raises(Refused) as error:
        listed('C: A1 LIST "" "*"\nS: A1 NO [UNAVAILABLE] later')
    assert (error.value.failure, error.value.code, error.value.bad) == (Failure.UNAVAILABLE, "UNAVAILABLE", False)


def test_status() -> None:
    async def work(client: ImapClient) -> MailboxStatus:
        return await client.status(b"a b")

    script = 'C: A1 STATUS "a b" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ MAILBOXID)\n'
    capabilities = "CONDSTORE OBJECTID"
    told = 'S: * STATUS other (MESSAGES 9)\nS: * STATUS "a b" (MESSAGES 3 MAILBOXID (F1))\nS: A1 OK x'
    assert talk(script + told, work, capabilities) == MailboxStatus(3, mailbox_id="F1")
    assert talk(script + "S: A1 OK x", work, capabilities) == MailboxStatus()
    with pytest.raises(Refused) as error:
        talk(script + "S: A1 NO [NONEXISTENT] x", work, capabilities)
    assert error.value.failure is Failure.FOLDER_MISSING


def test_namespace() -> None:
    async def work(client: ImapClient) -> Namespaces | None:
        return await client.namespace()

    script = 'C: A1 NAMESPACE\nS: * NAMESPACE (("INBOX." ".")) NIL NIL\nS: A1 OK x'
    assert talk(script, work, "NAMESPACE") == Namespaces(((b"INBOX.", "."),))
    assert talk("", work) is None


SELECT = """
C: A1 SELECT "x" (CONDSTORE)
S: * FLAGS (\\Seen a]b)
S: * 17 EXISTS
S: * 0 RECENT
S: * OK [UIDVALIDITY 77] x
S: * OK [UIDNEXT 18] x
S: * OK [HIGHESTMODSEQ 99] x
S: * OK [PERMANENTFLAGS (\\Seen a]b \\*)] x
S: * OK [MAILBOXID (F1)] x
S: A1 OK [READ-WRITE] done
"""


def test_select() -> None:
    async def work(client: ImapClient) -> Selected:
        found = await client.select(b"x")
        assert client.selected == found
        assert client.take_news() == News()
        return found

    assert talk(SELECT, work, "CONDSTORE") == Selected(
        b"x", False, 77, 17, 18, 99, frozenset({"\\Seen", "a]b"}), frozenset({"\\Seen", "a]b", "\\*"}), "F1"
    )


def test_a_select_that_says_little() -> None:
    script = 'C: A1 EXAMINE "x"\nS: * OK [NOMODSEQ] x\nS: * OK [UIDNOTSTICKY] x\nS: A1 OK [READ-ONLY] done'

    async def work(client: ImapClient) -> Selected:
        return await client.select(b"x", read_only=True)

    assert talk(script, work) == Selected(b"x", True, 0, 0, None, None, frozenset(), None, None, True)


def test_a_select_that_gives_less_than_was_asked() -> None:
    async def work(client: ImapClient) -> bool:
        return (await client.select(b"x")).read_only

    assert talk('C: A1 SELECT "x"\nS: A1 OK [READ-ONLY] done', work)


def test_a_refused_select_leaves_nothing_selected() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        with pytest.raises(Refused) as error:
            await client.select(b"y")
        assert error.value.failure is Failure.FOLDER_MISSING
        assert client.selected is None
        assert not client.closed

    talk(SELECT + 'C: A2 SELECT "y" (CONDSTORE)\nS: A2 NO Mailbox does not exist', work, "CONDSTORE")


def test_what_comes_before_closed_is_of_the_old_mailbox() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        found = await client.select(b"y")
        assert (found.exists, found.uidvalidity) == (2, 5)
        assert not client.take_news()

    script = """
    C: A2 SELECT "y" (CONDSTORE)
    S: * 18 EXISTS
    S: * OK [UIDVALIDITY 6] x
    S: * VANISHED 4
    S: * OK [CLOSED] x
    S: * 2 EXISTS
    S: * OK [UIDVALIDITY 5] x
    S: A2 OK done
    """
    talk(SELECT + script, work, "CONDSTORE")


def test_news_come_with_any_command() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        await client.noop()
        assert client.selected is not None
        assert client.selected.exists == 12
        assert client.take_news() == News(
            exists=16, expunged=5, vanished=[(3, 5), (9, 9)],
            fetched=[FetchedMessage(7, flags=frozenset({"\\Seen"})), FetchedMessage(0, flags=frozenset())],
            alerts=["buy more"],
        )  # fmt: skip
        assert client.take_news() == News()

    script = """
    C: A2 NOOP
    S: * 18 EXISTS
    S: * 4 EXPUNGE
    S: * 16 EXISTS
    S: * VANISHED 3:5,9
    S: * 2 FETCH (UID 7 FLAGS (\\Seen))
    S: * 3 FETCH (FLAGS ())
    S: * OK [ALERT] buy more
    S: * OK [ALERT] buy more
    S: * VANISHED (EARLIER) 1:99
    S: * 5 WEATHER
    S: * OK
    S: A2 OK done
    """
    talk(SELECT + script, work, "CONDSTORE")


def test_without_a_mailbox_there_is_no_news_of_one() -> None:
    async def work(client: ImapClient) -> None:
        await client.noop()
        assert client.take_news() == News()

    talk("C: A1 NOOP\nS: * 18 EXISTS\nS: * 4 EXPUNGE\nS: * VANISHED 3\nS: * 2 FETCH (UID 7 FLAGS ())\nS: A1 OK x", work)


@pytest.mark.parametrize(
    ("capabilities", "script", "selected"),
    [("CONDSTORE UNSELECT", "C: A2 UNSELECT\nS: A2 OK x", False), ("CONDSTORE", "", True)],
)
def test_unselect_never_expunges(capabilities: str, script: str, selected: bool) -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        await client.unselect()
        assert (client.selected is not None) is selected

    talk(SELECT + script, work, capabilities)


def test_folders_are_made_and_removed() -> None:
    async def work(client: ImapClient) -> None:
        await client.create(b"&AOQ-")
        await client.subscribe(b"a")
        await client.unsubscribe(b"a")
        await client.rename(b"a", b"\xc3\xa4")
        with pytest.raises(Refused) as error:
            await client.delete(b"a")
        assert error.value.code == "HASCHILDREN"
        for evil in (b"a\r\nb", b"a\n", b"\0"):
            with pytest.raises(Refused):
                await client.create(evil)
        await client.noop()

    talk(
        """
        C: A1 CREATE "&AOQ-"
        S: A1 OK x
        C: A2 SUBSCRIBE "a"
        S: A2 OK x
        C: A3 UNSUBSCRIBE "a"
        S: A3 OK x
        C: A4 RENAME "a" {2}
        S: + go
        C: \xc3\xa4
        S: A4 OK x
        C: A5 DELETE "a"
        S: A5 NO [HASCHILDREN] no
        C: A6 NOOP
        S: A6 OK x
        """,
        work,
    )


def test_a_refused_literal_ends_its_command_only() -> None:
    async def work(client: ImapClient) -> None:
        with pytest.raises(Refused):
            await client.create(b"\xe4")
        await client.noop()

    talk("C: A1 CREATE {1}\nS: A1 NO too long\nC: A2 NOOP\nS: A2 OK x", work)


def test_mailboxes_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_MAILBOXES", 10)
    script = 'C: A1 LIST "" "*"\n' + "\n".join(f'S: * LIST () "/" {number}' for number in range(12))
    with pytest.raises(Closed) as error:
        listed(script)
    assert error.value.failure is Failure.PROTOCOL

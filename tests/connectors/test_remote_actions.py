"""Actions in an account by hand, against servers of every kind: each works, or says why not and changes nothing."""

from __future__ import annotations

import pytest

from gateway.connectors.remote.errors import RemoteFailed, ValidityChanged
from gateway.connectors.remote.values import Carried, Touched
from gateway.connectors.search_terms import terms
from gateway.model.errors import CannotChange, InvalidName, InvalidRequest, LimitReached, NotFound, Unavailable
from gateway.outbound.failure import Failure
from gateway.upstream.wants import SearchWants
from tests.connectors.remote_kit import Hand, at, chosen, hand, uid
from tests.support.upstream import (
    COURIER,
    CYRUS,
    DOVECOT,
    EXCHANGE,
    GMAIL,
    HMAIL,
    ICLOUD,
    NETEASE,
    PLAIN,
    YAHOO,
    ZOHO,
    FakeUpstream,
    Personality,
    digest,
    example,
    zero_exists,
)
from tests.support.upstream.faults import Rewrite
from tests.support.upstream.server import WRITES

pytestmark = pytest.mark.usefixtures("runner")

SERVERS = [DOVECOT, GMAIL, HMAIL, EXCHANGE, YAHOO, ICLOUD, NETEASE, COURIER, CYRUS, ZOHO, PLAIN]
everywhere = pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)


def second(kind: Personality) -> str:
    """A name for another folder there."""
    return f"{kind.prefix}Work"


def uids_of(server: FakeUpstream, raw: str = "INBOX") -> list[int]:
    return list(server.account.mailbox(raw).places)


def flags_of(server: FakeUpstream, number: int, raw: str = "INBOX") -> set[str]:
    return set(server.account.mailbox(raw).places[number].mail.flags)


@everywhere
async def test_looking_changes_nothing(kind: Personality) -> None:
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 4, second(kind): 1})) as it:
        server = it.server
        first = uids_of(server)[0]
        server.account.set_flags("INBOX", first, ["\\Seen"])
        before = server.account.snapshot()
        async with it.open() as actions:
            listed = {one.name.upper(): one for one in await actions.folders()}
            assert listed["INBOX"].role == "INBOX"
            assert listed["INBOX"].status is not None
            assert (listed["INBOX"].status.messages, listed["INBOX"].status.unseen) == (4, 3)
            assert second(kind).upper() in listed
            status = (await actions.status("inbox")).status
            assert status is not None
            assert status.uidvalidity == server.account.mailbox("INBOX").uidvalidity
            found = await actions.search("INBOX", SearchWants(seen=False), limit=2, expect=status.uidvalidity)
            assert (found.total, found.more) == (3, True)
            assert [one.uid for one in found.messages] == uids_of(server)[:1:-1]
            assert found.messages[0].sender == "Ann <ann@sender.test>"
            assert found.messages[0].message_id.endswith("@sender.test>")
            rest = await actions.search("INBOX", SearchWants(seen=False), below=found.messages[-1].uid)
            assert [one.uid for one in rest.messages] == [uids_of(server)[1]]
            folder, validity, facts = await actions.message("INBOX", at("*"))
            assert (folder.upper(), validity, facts.uid) == ("INBOX", status.uidvalidity, uids_of(server)[-1])
        assert server.account.snapshot() == before
        assert not [one for one in server.log if one.name in WRITES - {"LOGOUT"}]


@everywhere
async def test_messages_are_flagged_and_the_truth_is_told(kind: Personality) -> None:
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 3})) as it:
        server, numbers = it.server, uids_of(it.server)
        async with it.open() as actions:
            done = await actions.flag("add", "INBOX", at("2:*"), ["seen", "\\flagged"])
            assert done.uids == tuple(numbers[1:])
            assert done.uidvalidity == server.account.mailbox("INBOX").uidvalidity
            assert all({"\\Seen", "\\Flagged"} <= set(flags) for _, flags in done.flags)
            assert len(done.flags) == 2
            await actions.flag("remove", "INBOX", uid(numbers[2]), ["Seen"], expect=done.uidvalidity)
            assert flags_of(server, numbers[2]) == {"\\Flagged"}
            await actions.flag("set", "INBOX", at("*"), ["$Done"])
            assert flags_of(server, numbers[2]) == {"$Done"}
            assert (await actions.flag("set", "INBOX", at("*"), [])).flags == ((numbers[2], ()),)
            assert flags_of(server, numbers[0]) == set()


@everywhere
async def test_copies_and_moves_end_where_they_should(kind: Personality) -> None:
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 5, second(kind): 0})) as it:
        server, numbers, there = it.server, uids_of(it.server), second(kind)
        contents = [digest(server.account.mailbox("INBOX").places[number].mail.octets) for number in numbers]
        has_uidplus = "UIDPLUS" in kind.after
        async with it.open() as actions:
            copied = await actions.copy("INBOX", at("1"), there)
            assert copied.uids == (numbers[0],)
            assert copied.to_uids == ((uids_of(server, there)[0],) if has_uidplus else None)
            moved = await actions.move("INBOX", uid(*numbers[1:3]), there, expect=copied.uidvalidity)
            assert moved.uids == tuple(numbers[1:3])
            assert len(uids_of(server, there)) == 3
            if has_uidplus:
                assert moved.to_uids == tuple(uids_of(server, there)[1:])
                assert moved.to_uidvalidity == server.account.mailbox(there).uidvalidity
            assert moved.left_deleted is (not has_uidplus)
        left = uids_of(server)
        if has_uidplus:
            assert left == [numbers[0], *numbers[3:]]
        else:
            assert left == numbers, "nothing but what was named may go"
            assert [number for number in left if "\\Deleted" in flags_of(server, number)] == numbers[1:3]
        if not kind.quirks.regenerates:
            assert sorted(server.account.digests(there)) == sorted(contents[:3])
        bare = [one for one in server.log if one.name == "EXPUNGE"]
        assert not bare, "a bare EXPUNGE takes what others have marked"


@everywhere
async def test_deleted_mail_is_in_the_trash(kind: Personality) -> None:
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 3})) as it:
        server, numbers = it.server, uids_of(it.server)
        async with it.open() as actions:
            if kind is PLAIN:
                with pytest.raises(NotFound, match="no Trash folder"):
                    await actions.delete("INBOX", uid(numbers[0]))
                return
            done = await actions.delete("INBOX", uid(numbers[0]))
            assert isinstance(done, Carried)
            assert done.left_deleted is ("UIDPLUS" not in kind.after and "MOVE" not in kind.after)
            trash = next(one.name for one in await actions.folders() if one.role == "\\Trash")
            assert done.to == trash
            raw = next(box for box in server.account.mailboxes if server.account.mailbox(box).places and "INBOX" not in
                       box.upper().split(".")[-1:] and "All" not in box)  # fmt: skip
            assert len(uids_of(server, raw)) == 1
            with pytest.raises(CannotChange, match="in Trash already"):
                await actions.delete("\\Trash", at("1"))
            with pytest.raises(NotFound):
                await actions.delete("INBOX", uid(9_999))


@everywhere
async def test_for_good_needs_uidplus(kind: Personality) -> None:
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 3})) as it:
        server, numbers = it.server, uids_of(it.server)
        server.account.add_flags("INBOX", numbers[2], "\\Deleted")
        async with it.open() as actions:
            if "UIDPLUS" not in kind.after:
                with pytest.raises(CannotChange, match="UIDPLUS"):
                    await actions.delete("INBOX", uid(numbers[0]), permanent=True)
                assert not server.commands("STORE")
                return
            done = await actions.delete("INBOX", uid(numbers[0]), permanent=True)
        assert isinstance(done, Touched)
        assert done.uids == (numbers[0],)
        everything = {number for raw in server.account.mailboxes for number in server.account.digests(raw).values()}
        assert uids_of(server) == numbers[1:], "what another client has marked stays"
        assert everything <= {1}
        kept = {one for raw in server.account.mailboxes for one in server.account.digests(raw)}
        assert len(kept) == 2, "also in All Mail and Trash"


@everywhere
async def test_folders_are_made_renamed_and_deleted(kind: Personality) -> None:
    async with hand(FakeUpstream(kind)) as it:
        server = it.server
        async with it.open() as actions:
            made = await actions.create("Projects/Zürich")
            expected = kind.prefix + f"Projects{kind.delimiter}Z&APw-rich"
            assert server.account.mailbox(expected).subscribed
            assert (made.subscribed, made.uidvalidity) == (True, server.account.mailbox(expected).uidvalidity)
            assert (await actions.status("Projects/Zürich" if not kind.prefix else made.mailbox)).name == made.mailbox
            with pytest.raises(RemoteFailed) as caught:
                async with it_open_again(it) as others:
                    await others.create("Projects/Zürich")
            assert caught.value.failure is Failure.REFUSED_COMMAND
            assert "exists" in str(caught.value)
            with pytest.raises(ValidityChanged):
                await actions.rename(made.mailbox, "Else", expect=made.uidvalidity + 1)
            renamed = await actions.rename(made.mailbox, "Projects/Bern", expect=made.uidvalidity)
            assert server.account.mailbox(kind.prefix + f"Projects{kind.delimiter}Bern").subscribed
            with pytest.raises(ValidityChanged):
                await actions.delete_mailbox(renamed.mailbox, expect=made.uidvalidity + 1)
            gone = await actions.delete_mailbox(renamed.mailbox, expect=renamed.uidvalidity)
            assert gone.uidvalidity == renamed.uidvalidity
            assert renamed.mailbox not in {one.name for one in await actions.folders(counts=False)}
            for mistake in (actions.rename("INBOX", "Other"), actions.delete_mailbox("inbox"), actions.create("Inbox")):
                with pytest.raises(CannotChange):
                    await mistake
            with pytest.raises(InvalidName):
                await actions.create("a\r\nb")


def it_open_again(it: Hand) -> object:
    """A second connection: the lock is one of the first's process."""
    return Hand(it.server).open()


async def test_a_missing_folder_is_named_with_what_is_called_nearly_so() -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1, "Invoices": 1})) as it:
        for name in ("Invoises", "invoices"):
            with pytest.raises(RemoteFailed, match=r"did you mean Invoices\?.*gateway remote list work") as caught:
                async with it.open() as actions:
                    await actions.status(name)
            assert caught.value.failure is Failure.FOLDER_MISSING
        for wrong in ("copy", "move"):
            with pytest.raises(RemoteFailed, match="no folder Elsewhere"):
                async with it.open() as actions:
                    await getattr(actions, wrong)("INBOX", at("1"), "Elsewhere")
        assert not it.server.commands("COPY", "MOVE", "SELECT")


async def test_folders_are_found_by_role_and_with_our_delimiter() -> None:
    async with hand(FakeUpstream(COURIER, mailboxes={"INBOX.Lists.a": 2})) as it, it.open() as actions:
        assert (await actions.status("INBOX/Lists/a")).name == "INBOX.Lists.a"
        assert (await actions.status("\\Sent")).name == "INBOX.Sent"


ACTIONS = {
    "status": lambda actions, expect: actions.status("INBOX", expect=expect),
    "search": lambda actions, expect: actions.search("INBOX", SearchWants(), expect=expect),
    "download": lambda actions, expect: actions.message("INBOX", at("1"), expect=expect),
    "flag": lambda actions, expect: actions.flag("add", "INBOX", at("1"), ["seen"], expect=expect),
    "copy": lambda actions, expect: actions.copy("INBOX", at("1"), "Work", expect=expect),
    "move": lambda actions, expect: actions.move("INBOX", at("1"), "Work", expect=expect),
    "delete": lambda actions, expect: actions.delete("INBOX", uid(1), expect=expect),
    "permanent": lambda actions, expect: actions.delete("INBOX", uid(1), permanent=True, expect=expect),
}


@pytest.mark.parametrize("action", ACTIONS)
async def test_another_uidvalidity_ends_an_action_before_it_begins(action: str) -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "Work": 1})) as it:
        server = it.server
        good = server.account.mailbox("INBOX").uidvalidity
        server.account.renumber("INBOX")
        before = server.account.snapshot()
        async with it.open() as actions:
            with pytest.raises(ValidityChanged, match=f"{server.account.mailbox('INBOX').uidvalidity} now and not"):
                await ACTIONS[action](actions, good)
            assert server.account.snapshot() == before
            assert not server.commands("STORE", "COPY", "MOVE", "EXPUNGE")
            await ACTIONS[action](actions, server.account.mailbox("INBOX").uidvalidity)


async def test_search_has_criteria_and_terms() -> None:
    mails = [
        b"From: boss@corp.test\r\nTo: me@x.test\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nabout money\r\n",
        b"From: friend@x.test\r\nTo: me@x.test\r\nSubject: lunch\r\n\r\n" + b"long " * 500,
        b"From: boss@corp.test\r\nTo: all@corp.test\r\nSubject: party\r\n\r\nfree\r\n",
    ]
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": mails})) as it, it.open() as actions:
        it.server.account.set_flags("INBOX", 3, ["\\Seen", "\\Flagged"])

        async def found(**wants: object) -> list[int]:
            wants = {"terms": terms(str(wants.pop("terms")))} | wants if "terms" in wants else wants
            return [one.uid for one in (await actions.search("INBOX", SearchWants(**wants))).messages]  # type: ignore[arg-type]

        assert await found() == [3, 2, 1]
        assert await found(sender="boss") == [3, 1]
        assert await found(sender="boss", seen=False) == [1]
        assert await found(recipient="all@") == [3]
        assert await found(subject="Grüße") == [1]
        assert await found(text="money") == [1]
        assert await found(terms="OR FLAGGED LARGER 1000") == [3, 2]
        assert await found(terms="NOT (FROM boss SEEN)", sender="boss") == [1]
        assert await found(before=0) == []
        assert (await actions.search("INBOX", SearchWants(), limit=0)).total == 3
        with pytest.raises(InvalidRequest):
            await actions.search("INBOX", SearchWants(), limit=1_001)


async def test_ten_thousand_messages_are_paged_and_no_command_touches_more_than_a_thousand() -> None:
    async with hand(FakeUpstream(YAHOO, mailboxes={"INBOX": 2_500})) as it:
        server, numbers = it.server, uids_of(it.server)
        server.account.create("Work")
        async with it.open() as actions:
            with pytest.raises(LimitReached, match="2500 messages; one command takes 1000"):
                await actions.flag("add", "INBOX", at("1:*"), ["seen"])
            page = await actions.search("INBOX", SearchWants(), limit=1_000)
            assert (page.total, page.more, len(page.messages)) == (2_500, True, 1_000)
            assert page.messages[0].uid == numbers[-1]
            done = await actions.flag("add", "INBOX", at("1001:2000"), ["seen"])
            assert len(done.flags) == 1_000
            assert (await actions.message("INBOX", at("1")))[2].uid == numbers[0]
            copied = await actions.copy("INBOX", at("1:1000"), "Work")
            assert copied.to_uids == tuple(uids_of(server, "Work"))
            moved = await actions.move("INBOX", at("1:1000"), "Work")
            assert len(moved.uids) == 1_000
        assert len(uids_of(server)) == 1_500
        assert sum("\\Seen" in flags_of(server, number) for number in uids_of(server)) == 1_000


async def test_a_small_limit_of_the_server_is_kept_by_doing_it_in_pieces() -> None:
    kind = YAHOO.replace(after=YAHOO.after.replace("MESSAGELIMIT=1000", "MESSAGELIMIT=10")).quirk(message_limit=10)
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 35, "Work": 0})) as it:
        async with it.open() as actions:
            await actions.copy("INBOX", at("1:25"), "Work")
            moved = await actions.move("INBOX", at("1:25"), "Work")
            await actions.delete("INBOX", chosen("1:*", by_uid=True), permanent=True)
        assert len(moved.uids) == 25
        assert len(uids_of(it.server, "Work")) == 50
        assert uids_of(it.server) == []


async def test_positions_are_refused_where_the_server_does_not_show_all() -> None:
    kind = YAHOO.without("UIDONLY").quirk(visible=5)
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 8})) as it, it.open() as actions:
        assert (await actions.message("INBOX", at("*")))[2].uid == 8
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}, faults=[zero_exists("EXAMINE")])) as it:
        with pytest.raises(Unavailable, match="name them by UID"):
            async with it.open() as actions:
                await actions.message("INBOX", at("3"))


@pytest.mark.parametrize("lie", ["MOVE", "ESEARCH"])
async def test_what_is_offered_and_unknown_is_done_otherwise(lie: str) -> None:
    async with hand(FakeUpstream(DOVECOT.lying(lie), mailboxes={"INBOX": 3, "Work": 0})) as it:
        async with it.open() as actions:
            moved = await actions.move("INBOX", at("1"), "Work")
        assert (moved.left_deleted, uids_of(it.server)) == (False, [2, 3])
        assert len(uids_of(it.server, "Work")) == 1


async def test_a_folder_that_nobody_may_change_is_said_to_be_so() -> None:
    read_only = Rewrite("SELECT", lambda line: line.replace(b"[READ-WRITE]", b"[READ-ONLY]"), times=0)
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}, faults=[read_only])) as it:
        with pytest.raises(RemoteFailed, match="lets nobody change INBOX"):
            async with it.open() as actions:
                await actions.flag("add", "INBOX", at("1"), ["seen"])


@pytest.mark.parametrize(
    ("op", "flags"), [("toggle", ["seen"]), ("add", []), ("add", ["\\Sene"]), ("add", [f"a{n}" for n in range(101)])]
)
async def test_wrong_flags_are_refused(op: str, flags: list[str]) -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1})) as it, it.open() as actions:
        with pytest.raises(InvalidRequest):
            await actions.flag(op, "INBOX", at("1"), flags)
        assert not it.server.commands("STORE")


async def test_hostile_headers_are_cut_and_decoded() -> None:
    mail = b"From: =?utf-8?q?Zo=C3=AB?= <z@x.test>\r\nSubject: " + b"x" * 200_000 + b"\r\n\r\nhello\r\n"
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": [mail, example()]})) as it, it.open() as actions:
        facts = (await actions.search("INBOX", SearchWants())).messages[1]
        assert facts.sender == "Zoë <z@x.test>"
        assert len(facts.subject) <= 1_000

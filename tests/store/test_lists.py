"""Allow and block lists: which entry decides, and that a change of them is heard of."""

from __future__ import annotations

import pytest

from gateway.model.errors import InvalidName, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import content, inboxes, lists, pods, submissions
from gateway.store.db import Database, Rx, Tx, Wake, WakeKind
from gateway.store.inboxes import Inbox
from gateway.store.lists import EVERYWHERE, Decision, Direction, Place, Verdict

from .helpers import NOW, make_inbox, staged, submission

RECEIVE, SEND, REPLY = Direction.RECEIVE, Direction.SEND, Direction.REPLY
ALLOW, BLOCK = Verdict.ALLOW, Verdict.BLOCK


def of(inbox: Inbox) -> Place:
    return Place(ScopeKind.INBOX, PodId(0), inbox.id)


def pod_of(inbox: Inbox) -> Place:
    return Place(ScopeKind.POD, inbox.pod_id, InboxId(0))


async def put(db: Database, place: Place, direction: Direction, verdict: Verdict, *patterns: str) -> None:
    for pattern in patterns:
        await db.write(lambda tx, pattern=pattern: lists.put(tx, place, direction, verdict, pattern, now=NOW))  # type: ignore[misc]


async def receives(db: Database, inbox: Inbox, *senders: str, answers: tuple[bytes, ...] = ()) -> Decision:
    return await db.read(lambda rx: lists.may_receive(rx, inbox.id, senders, answers))


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Bob@Example.TEST", "bob@example.test"),
        ("Example.TEST", "example.test"),
        ("@example.test", "example.test"),
        (".B\u00dcCHER.example", ".xn--bcher-kva.example"),
    ],
)
def test_patterns(written: str, stored: str) -> None:
    assert lists.canonical_pattern(written) == stored


@pytest.mark.parametrize("text", ["", "@", ".", "a b", "a@", "x@y@", "exa mple.test", "a@[1.2.3.4]", "*"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidName, match="is no address, no domain and no"):
        lists.canonical_pattern(text)


def test_what_fits_an_address() -> None:
    assert lists.patterns_of("Bob+x@Mail.Example.test") == (
        "bob+x@mail.example.test", "bob@mail.example.test", "mail.example.test", ".example.test", ".test",
    )
    assert lists.patterns_of("x@[127.0.0.1]") == ()
    assert len(lists.patterns_of("x@" + ".".join("a" * 100))) == 2 + lists.MAX_LABELS


async def test_where_there_are_no_lists_everybody_may(db: Database) -> None:
    inbox = await make_inbox(db)
    assert await receives(db, inbox, "bob@elsewhere.test") == lists.NOTHING_SAID
    assert await db.read(lambda rx: lists.may_send(rx, inbox.id, "bob@elsewhere.test")) == lists.NOTHING_SAID
    assert not await db.read(lists.any_entry)


async def test_the_narrowest_scope_wins(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    await put(db, EVERYWHERE, RECEIVE, BLOCK, "spam.test")
    await put(db, pod_of(anna), RECEIVE, ALLOW, "news@spam.test")
    await put(db, of(anna), RECEIVE, BLOCK, "news@spam.test")
    assert not (await receives(db, anna, "news@spam.test")).allowed
    assert (await receives(db, ben, "news@spam.test")).allowed
    decision = await receives(db, ben, "other@spam.test")
    assert (decision.allowed, decision.entry, decision.scope) == (False, None, ScopeKind.POD)  # not listed there


async def test_within_a_scope_the_nearest_pattern_wins(db: Database) -> None:
    anna = await make_inbox(db)
    await put(db, of(anna), RECEIVE, BLOCK, ".test", "corp.test", "eve+x@corp.test")
    await put(db, of(anna), RECEIVE, ALLOW, "mail.test", "bob@corp.test", "eve@corp.test")
    for sender, allowed in {
        "bob@corp.test": True, "bob+list@corp.test": True, "eve@corp.test": True, "eve+x@corp.test": False,
        "dan@corp.test": False, "dan@mail.test": True, "dan@sub.mail.test": False, "dan@elsewhere.example": False,
    }.items():
        assert (await receives(db, anna, sender)).allowed is allowed, sender


async def test_a_scope_that_allows_anybody_blocks_all_others_in_that_direction(db: Database) -> None:
    anna = await make_inbox(db)
    await put(db, pod_of(anna), SEND, ALLOW, "corp.test")
    assert await db.read(lambda rx: lists.may_send(rx, anna.id, "x@elsewhere.test")) == Decision(
        False, None, ScopeKind.POD
    )
    assert (await db.read(lambda rx: lists.may_send(rx, anna.id, "x@corp.test"))).allowed
    assert (await receives(db, anna, "x@elsewhere.test")).allowed
    assert not (await db.read(lambda rx: lists.may_send(rx, anna.id, "x@[127.0.0.1]"))).allowed


async def test_an_address_that_no_entry_can_name_is_no_way_around_lists(db: Database) -> None:
    """The number of a blocked domain's host, and names that only a lenient resolver takes."""
    anna, other = await make_inbox(db), await make_inbox(db, "other@mail.test")
    ways = ("x@[192.0.2.1]", "x@a.-b.evil.test", "x@\N{SNOWMAN}.evil.test")

    def asked(rx: Rx, inbox: Inbox) -> list[bool]:
        return [lists.may_send(rx, inbox.id, address).allowed for address in ways]

    assert await db.read(lambda rx: asked(rx, anna)) == [True] * 3, "there are no lists at all"
    await put(db, of(anna), SEND, BLOCK, ".evil.test")
    assert await db.read(lambda rx: asked(rx, anna)) == [False] * 3
    assert await db.read(lambda rx: asked(rx, other)) == [True] * 3
    assert (await db.read(lambda rx: lists.may_send(rx, anna.id, "x@corp.test"))).allowed


async def test_envelope_and_from_are_one_sender(db: Database) -> None:
    anna = await make_inbox(db)
    await put(db, of(anna), RECEIVE, BLOCK, "bulk.test", "eve@corp.test")
    await put(db, of(anna), RECEIVE, ALLOW, "bob@corp.test", "corp.test")
    assert not (await receives(db, anna, "bounce@bulk.test", "eve@corp.test")).allowed
    assert (await receives(db, anna, "bounce@bulk.test", "bob@corp.test")).allowed, "an address beats a domain"
    assert not (await receives(db, anna, "eve@corp.test", "bob@corp.test")).allowed, "of two addresses, block"
    assert not (await receives(db, anna, "bounce@bulk.test", "dan@corp.test")).allowed, "of two domains, block"
    assert not (await receives(db, anna)).allowed, "no sender at all is not listed"


async def test_answers_are_judged_apart(db: Database) -> None:
    anna = await make_inbox(db)
    await put(db, of(anna), RECEIVE, ALLOW, "corp.test")
    await put(db, of(anna), RECEIVE, BLOCK, "evil.test")
    made = staged(b"From: a\r\n\r\nx\r\n")
    sent = submission(anna.id, anna.address, made, ["x@elsewhere.test"], message_id=b"asked@example.test")

    def send(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        submissions.enqueue(tx, sent, NOW)

    await db.write(send)
    asked, unknown = (b"asked@example.test",), (b"foreign@example.test",)
    assert not (await receives(db, anna, "x@elsewhere.test")).allowed
    assert not (await receives(db, anna, "x@elsewhere.test", answers=unknown)).allowed
    assert (await receives(db, anna, "x@elsewhere.test", answers=asked)).allowed
    assert not (await receives(db, anna, "x@evil.test", answers=asked)).allowed, "whom receive blocks stays blocked"
    await put(db, of(anna), REPLY, ALLOW, "x@evil.test")
    assert (await receives(db, anna, "x@evil.test", answers=asked)).allowed
    assert not (await receives(db, anna, "x@elsewhere.test", answers=asked)).allowed, "reply allows another only"
    ben = await make_inbox(db, "ben@example.test")
    await put(db, of(ben), RECEIVE, ALLOW, "corp.test")
    assert not (await receives(db, ben, "x@elsewhere.test", answers=asked)).allowed, "ben has asked nothing"


async def test_putting_again_changes_the_verdict_and_removing_ends_it(db: Database) -> None:
    anna = await make_inbox(db)
    await put(db, of(anna), RECEIVE, ALLOW, "Bob@corp.test")
    await put(db, of(anna), RECEIVE, BLOCK, "bob@corp.test")
    assert [entry.verdict for entry in await db.read(lists.entries)] == [BLOCK]
    with pytest.raises(NotFound):
        await db.write(lambda tx: lists.remove(tx, EVERYWHERE, RECEIVE, "bob@corp.test"))
    await db.write(lambda tx: lists.remove(tx, of(anna), RECEIVE, "BOB@corp.test"))
    assert await db.read(lists.entries) == []
    with pytest.raises(InvalidName):
        await db.write(
            lambda tx: lists.put(tx, EVERYWHERE, RECEIVE, BLOCK, "x.test", now=NOW, reason="a\nb")
        )


async def test_a_change_wakes_who_remembers(db: Database) -> None:
    anna = await make_inbox(db)
    heard: list[Wake] = []
    db.subscribe(heard.append)
    await put(db, of(anna), RECEIVE, BLOCK, "x.test")
    await put(db, EVERYWHERE, RECEIVE, BLOCK, "x.test")
    await db.write(lambda tx: lists.remove(tx, EVERYWHERE, RECEIVE, "x.test"))
    assert [wake.inbox_id for wake in heard if wake.kind is WakeKind.INBOX] == [anna.id, None, None]


async def test_lists_go_with_their_inbox_and_pod(db: Database) -> None:
    anna = await make_inbox(db)
    other = await db.write(lambda tx: pods.create_pod(tx, "other"))
    await put(db, of(anna), RECEIVE, BLOCK, "x.test")
    await put(db, Place(ScopeKind.POD, other.id, InboxId(0)), RECEIVE, BLOCK, "x.test")
    await put(db, EVERYWHERE, RECEIVE, BLOCK, "x.test")
    await db.write(lambda tx: pods.delete_pod(tx, other.id))
    await db.write(lambda tx: inboxes.delete_inbox(tx, anna.id, NOW))
    while not await db.write(lambda tx: inboxes.purge_inbox(tx, anna.id, 100)):
        pass
    assert [entry.scope for entry in await db.read(lists.entries)] == [ScopeKind.ALL]

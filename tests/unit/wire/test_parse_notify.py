"""The grammar of RFC 5465, with the rules that its comments state."""

from __future__ import annotations

import pytest

from gateway.wire import commands as c
from gateway.wire.events import Frame
from gateway.wire.fetch import ITEMS
from gateway.wire.notify import SUPPORTED, EventGroup, NotifyEvent, Scope
from gateway.wire.parse_notify import MAX_GROUPS, MAX_NAMES
from gateway.wire.parser import BadCommand, parse

NEW, EXPUNGE, FLAGS = NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE, NotifyEvent.FLAG_CHANGE
PAIR = frozenset({NEW, EXPUNGE})
NAME, SUBSCRIPTION = NotifyEvent.MAILBOX_NAME, NotifyEvent.SUBSCRIPTION_CHANGE


def read(text: bytes, *literals: bytes) -> c.Notify:
    command = parse(Frame(b"A1 NOTIFY " + text, literals))
    assert isinstance(command, c.Notify)
    return command


def test_none() -> None:
    assert read(b"none") == c.Notify(b"A1")


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (b"(personal (MessageNew MessageExpunge))", [EventGroup(Scope.PERSONAL, PAIR)]),
        (b"(Inboxes NONE)", [EventGroup(Scope.INBOXES, frozenset())]),
        (b"(selected none)", [EventGroup(Scope.SELECTED, frozenset())]),
        (b"(subscribed (subscriptionchange))", [EventGroup(Scope.SUBSCRIBED, frozenset({SUBSCRIPTION}))]),
        (b"(subtree Lists (MailboxName))", [EventGroup(Scope.SUBTREE, frozenset({NAME}), ("Lists",))]),
        (
            b'(mailboxes (inbox "a b" &AOQ-) (MessageNew MessageExpunge FlagChange MailboxName))',
            [EventGroup(Scope.MAILBOXES, PAIR | {FLAGS, NAME}, ("INBOX", "a b", "ä"))],
        ),
        (b"(mailboxes (a*) (MailboxName))", None),
        (b'(mailboxes ("a*%") (MailboxName))', [EventGroup(Scope.MAILBOXES, frozenset({NAME}), ("a*%",))]),
        # RFC 5465 6.1: the second example of chapter 6
        (
            b"(selected (Messagenew (uid flags) messageExpunge)) (personal (MessageNew FlagChange MessageExpunge))",
            [
                EventGroup(Scope.SELECTED, PAIR, (), (ITEMS[b"UID"], ITEMS[b"FLAGS"])),
                EventGroup(Scope.PERSONAL, PAIR | {FLAGS}),
            ],
        ),
        # as its chapter 3 spells groups, without the parentheses of the grammar
        (
            b"(selected-delayed MessageNew (uid) MessageExpunge) (subtree Lists MessageNew MessageExpunge)",
            [
                EventGroup(Scope.SELECTED_DELAYED, PAIR, (), (ITEMS[b"UID"],)),
                EventGroup(Scope.SUBTREE, PAIR, ("Lists",)),
            ],
        ),
    ],
)
def test_set(text: bytes, groups: list[EventGroup] | None) -> None:
    for head, status in ((b"set ", False), (b"SET STATUS ", True)):
        if groups is None:
            with pytest.raises(BadCommand):
                read(head + text)
        else:
            assert read(head + text) == c.Notify(b"A1", status, tuple(groups))


def test_a_section_in_the_items_and_a_name_in_a_literal() -> None:
    command = read(
        b"SET (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge))"
        b" (mailboxes {4+}\n (MailboxName))",
        b"misc",
    )
    assert [item.echo for item in command.groups[0].items] == [b"UID", b"BODY[HEADER.FIELDS (from to subject)]"]
    assert command.groups[1].names == ("misc",)


def test_an_event_nobody_knows_is_noted() -> None:
    command = read(b"SET (personal (MailboxName TeaReady))")
    assert command.unknown
    assert not read(b"SET (personal (MailboxName))").unknown
    assert read(b"SET (personal (AnnotationChange MessageNew MessageExpunge))").groups[0].events == PAIR | {
        NotifyEvent.ANNOTATION_CHANGE
    }
    assert NotifyEvent.ANNOTATION_CHANGE not in SUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"ALL",
        b"NONE (personal NONE)",
        b"SET",
        b"SET STATUS",
        b"SET NOSTATUS (personal NONE)",
        b"SET ()",
        b"SET (personal)",
        b"SET (personal ())",
        b"SET (everybody NONE)",
        b"SET (subtree NONE)",
        b"SET (subtree () NONE)",
        b"SET (mailboxes a b NONE)",
        b"SET (personal (NONE MailboxName)) x",
        b"SET (personal (MailboxName)",
        b"SET (personal (MailboxName)))",
        b"SET (personal (MailboxName))(inboxes NONE)",
        b"SET (personal (MailboxName MailboxName))",
        # RFC 5465 5: both, or BAD
        b"SET (personal (MessageNew))",
        b"SET (personal (MessageExpunge))",
        b"SET (personal (FlagChange))",
        b"SET (personal (FlagChange MessageNew))",
        b"SET (personal (AnnotationChange))",
        b"SET (subtree Lists MessageNew)",
        b"SET (inboxes (MessageNew MessageExpunge)) (selected (MessageNew))",
        # 6.1: one of the two, and events of messages only
        b"SET (selected NONE) (selected-delayed NONE)",
        b"SET (selected NONE) (selected NONE)",
        b"SET (selected (MailboxName))",
        b"SET (selected-delayed (MessageNew MessageExpunge SubscriptionChange))",
        b"SET (selected (ServerMetadataChange))",
        # 8: what to fetch, of the selected mailbox only
        b"SET (personal (MessageNew (uid) MessageExpunge))",
        b"SET (selected (MessageNew () MessageExpunge))",
        b"SET (selected (MessageNew (tea) MessageExpunge))",
        b"SET (selected (MessageExpunge (uid) MessageNew))",
    ],
)
def test_what_is_bad(text: bytes) -> None:
    with pytest.raises(BadCommand):
        read(text)


def test_limits() -> None:
    group = b"(personal NONE)"
    assert len(read(b"SET " + b" ".join([group] * MAX_GROUPS)).groups) == MAX_GROUPS
    with pytest.raises(BadCommand):
        read(b"SET " + b" ".join([group] * (MAX_GROUPS + 1)))
    names = b" ".join(b"a%d" % number for number in range(MAX_NAMES))
    assert len(read(b"SET (mailboxes (" + names + b") NONE)").groups[0].names) == MAX_NAMES
    with pytest.raises(BadCommand):
        read(b"SET (mailboxes (" + names + b") NONE) (subtree b NONE)")

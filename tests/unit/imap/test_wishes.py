"""Of which mailbox a NOTIFY SET asks for what (RFC 5465 6)."""

from __future__ import annotations

from gateway.imap.wishes import NO_EVENTS, Wishes
from gateway.wire.commands import Notify
from gateway.wire.events import Frame
from gateway.wire.fetch import ITEMS
from gateway.wire.notify import NotifyEvent
from gateway.wire.parser import parse

PAIR = frozenset({NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE})
SUBSCRIPTION = frozenset({NotifyEvent.SUBSCRIPTION_CHANGE})


def wishes(text: bytes) -> Wishes:
    command = parse(Frame(b"a NOTIFY SET " + text, ()))
    assert isinstance(command, Notify)
    return Wishes(command.groups)


def of(asked: Wishes, name: str, *, selectable: bool = True, subscribed: bool = False) -> frozenset[NotifyEvent]:
    return asked.of(name, selectable=selectable, subscribed=subscribed)


def test_none() -> None:
    asked = Wishes()
    assert asked.of_selected == asked.of_others == of(asked, "INBOX") == NO_EVENTS


def test_groups_about_one_mailbox_add_up() -> None:
    """The first example of RFC 5465 6."""
    asked = wishes(b"(mailboxes INBOX (Messagenew messageExpunge)) (personal (SubscriptionChange))")
    assert of(asked, "INBOX") == PAIR | SUBSCRIPTION
    assert of(asked, "a") == SUBSCRIPTION
    assert of(wishes(b"(mailboxes INBOX NONE) (personal (SubscriptionChange))"), "INBOX") == SUBSCRIPTION


def test_the_selected_mailbox_has_a_group_of_its_own() -> None:
    asked = wishes(b"(selected-delayed (MessageNew (uid) MessageExpunge)) (personal (SubscriptionChange))")
    assert (asked.of_selected, asked.items, asked.delayed) == (PAIR, (ITEMS[b"UID"],), True)
    assert of(asked, "INBOX") == asked.of_others == SUBSCRIPTION
    assert not wishes(b"(selected (MessageNew MessageExpunge))").delayed


def test_scopes() -> None:
    asked = wishes(b"(inboxes (SubscriptionChange))")
    assert of(asked, "INBOX")
    assert not of(asked, "INBOX/a")
    assert not of(asked, "Junk")
    asked = wishes(b"(personal (SubscriptionChange))")
    assert of(asked, "a/b")
    assert not of(asked, "a/b", selectable=False)
    asked = wishes(b"(subscribed (SubscriptionChange))")
    assert of(asked, "a", subscribed=True)
    assert of(asked, "a", subscribed=True, selectable=False)
    assert not of(asked, "a")
    asked = wishes(b"(subtree (a c/d) (SubscriptionChange))")
    assert [name for name in ("a", "a/b", "a/b/c", "ab", "A", "c", "c/d", "c/d/e", "c/de") if of(asked, name)] == [
        "a", "a/b", "a/b/c", "c/d", "c/d/e",
    ]  # fmt: skip
    asked = wishes(b'(mailboxes ("a*" b) (SubscriptionChange))')
    assert [name for name in ("a", "ab", "a*", "b", "b/c") if of(asked, name)] == ["a*", "b"]

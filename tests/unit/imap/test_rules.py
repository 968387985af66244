"""The tables: no command without a rule, no untagged EXPUNGE where numbers are in use, safe replies."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from gateway.imap import access
from gateway.imap.access import Action
from gateway.imap.replies import REPLY_OF, reply_to
from gateway.imap.rules import RULES, State, Tell, uses_numbers
from gateway.model import errors
from gateway.model.ids import InboxId, KeyId
from gateway.model.permissions import Principal, ScopeKind, expand
from gateway.model.sequence import SequenceSet
from gateway.wire import commands as c
from gateway.wire import search as keys

ONE = SequenceSet(((1, 1),))


def test_every_command_has_a_rule() -> None:
    known = {kind for _, kind in inspect.getmembers(c, inspect.isclass) if issubclass(kind, c.Command)}
    assert set(RULES) == known - {c.Command}


def test_nothing_is_allowed_after_logout_and_little_before_login() -> None:
    assert not any(State.LOGOUT in rule.states for rule in RULES.values())
    early = {rule.name for rule in RULES.values() if State.NOT_AUTHENTICATED in rule.states}
    assert early == {"CAPABILITY", "NOOP", "LOGOUT", "ID", "STARTTLS", "AUTHENTICATE", "LOGIN", "LANGUAGE"}


@pytest.mark.parametrize("uid", [False, True])
def test_when_an_expunge_is_withheld(uid: bool) -> None:
    flags = c.Flags()
    for command in (
        c.Fetch(b"a", uid, ONE, ()),
        c.Store(b"a", uid, ONE, c.StoreAction.ADD, False, flags),
        c.Copy(b"a", uid, ONE, "Trash"),
        c.Search(b"a", uid, None, keys.All()),
        c.Sort(b"a", uid, (keys.SortKey(keys.Criterion.DATE),), "UTF-8", keys.All()),
        c.Thread(b"a", uid, keys.Algorithm.REFS, "UTF-8", keys.All()),
    ):
        assert RULES[type(command)].tell(command) is (Tell.ALL if uid else Tell.WITHHOLD)
    by_number = c.Search(b"a", uid, None, keys.Not(keys.Numbers(ONE, uid=False)))
    assert RULES[c.Search].tell(by_number) is Tell.WITHHOLD
    assert RULES[c.Move].tell(c.Move(b"a", uid, ONE, "Trash")) is Tell.ALL
    for kind in (c.Close, c.Unselect, c.Select, c.Logout):
        assert RULES[kind].tell(None) is Tell.NOTHING


def test_what_uses_message_numbers() -> None:
    """RFC 9586 3: each command with a form by number and one by UID, criteria, and the end of SELECT's QRESYNC."""
    both = {kind for kind in RULES if "uid" in {field.name for field in dataclasses.fields(kind)}}
    assert {c.Fetch, c.Store, c.Copy, c.Move, c.Search, c.Sort, c.Thread, c.Replace} == both
    flags = c.Flags()
    for uid in (False, True):
        assert uses_numbers(c.Fetch(b"a", uid, ONE, ())) is not uid
        assert uses_numbers(c.Store(b"a", uid, ONE, c.StoreAction.ADD, False, flags)) is not uid
        assert uses_numbers(c.Search(b"a", uid, None, keys.All())) is not uid
    for named in (False, True):
        assert uses_numbers(c.Search(b"a", True, None, keys.Not(keys.Numbers(ONE, uid=not named)))) is named
        matched = (ONE, ONE) if named else None
        assert uses_numbers(c.Select(b"a", "INBOX", resync=c.Resync(1, 1, ONE, matched))) is named
    assert not uses_numbers(c.Expunge(b"a", ONE))
    assert not uses_numbers(c.Noop(b"a"))


def test_replies_hold_no_line_ends_and_no_foreign_text() -> None:
    for kind in REPLY_OF:
        reply = reply_to(kind("evil\r\n* BYE ü"))
        assert reply is not None
        line = reply.line(b"a")
        assert line.count(b"\r\n") == 1
        assert line.isascii()
    assert reply_to(errors.ConfigError("x")) is None


@pytest.mark.parametrize(
    ("bundles", "role", "may"),
    [
        ((), None, set()),
        (("read",), None, {Action.READ}),
        (("read",), "\\Junk", {Action.READ}),
        (("message_read",), "\\Junk", set()),
        (("message_read",), "\\Trash", set()),
        (("draft_read",), "\\Drafts", {Action.READ}),
        (("draft_read",), None, set()),
        (("draft",), "\\Drafts", {Action.FLAG, Action.ADD, Action.REMOVE}),
        (("draft",), "\\Sent", set()),
        (("write",), None, {Action.FLAG, Action.ADD, Action.REMOVE, Action.FOLDERS}),
        (("send",), "\\Drafts", set()),
    ],
)
def test_what_a_key_may_do(bundles: tuple[str, ...], role: str | None, may: set[Action]) -> None:
    principal = Principal(KeyId(1), "k", ScopeKind.ALL, None, InboxId(1), "a@b", expand(bundles), None)
    assert {action for action in Action if access.allowed(principal, action, role)} == may
    for action in set(Action) - may:
        with pytest.raises(errors.NoPermission):
            access.require(principal, action, role)

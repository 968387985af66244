"""Gmail: folders that are read, and labels as local mailboxes."""

from __future__ import annotations

from gateway.connectors.plan.labels import (
    GmailFolders,
    LabelMerge,
    borne,
    gmail_folders,
    mailboxes_of,
    merge_labels,
    spelled,
)
from gateway.connectors.plan.roles import ALL, ARCHIVE, DRAFTS, INBOX, JUNK, SENT, TRASH

LOCAL = {INBOX: "INBOX", SENT: "Sent", DRAFTS: "Drafts", ARCHIVE: "Archive"}


def named(label: str) -> str | None:
    return None if label == "hidden" else label


def test_only_all_mail_junk_and_trash_are_read() -> None:
    roles = {ALL: b"all", TRASH: b"bin", JUNK: b"spam", SENT: b"sent"}
    assert gmail_folders(roles, [b"all", b"INBOX"]) == GmailFolders(True, (b"all", b"spam", b"bin"))


def test_where_all_mail_is_hidden_labels_are_folders() -> None:
    assert gmail_folders({TRASH: b"bin"}, [b"INBOX", b"bin"]) == GmailFolders(False, (b"INBOX", b"bin"))


def test_labels_are_mailboxes() -> None:
    assert mailboxes_of(["\\Inbox", "Work/A", "\\Important", "\\Starred"], LOCAL, named) == {"INBOX", "Work/A"}
    assert mailboxes_of(["\\Sent", "\\Draft"], LOCAL, named) == {"Sent", "Drafts"}


def test_a_message_without_labels_is_archived() -> None:
    assert mailboxes_of([], LOCAL, named) == {"Archive"}
    assert mailboxes_of(["\\Important", "hidden"], LOCAL, named) == {"Archive"}
    assert mailboxes_of([], {}, named) == frozenset()


def test_labels_that_changed_on_both_sides() -> None:
    base, local, remote = frozenset("abc"), frozenset("abx"), frozenset("acy")
    assert merge_labels(base, local, remote, two_way=True) == LabelMerge(
        frozenset("y"), frozenset("b"), frozenset("x"), frozenset("c")
    )
    assert merge_labels(base, local, remote, two_way=False) == LabelMerge(
        frozenset("y"), frozenset("b"), frozenset(), frozenset()
    )


def test_without_a_base_labels_are_only_added() -> None:
    merged = merge_labels(None, frozenset("ab"), frozenset("bc"), two_way=True)
    assert merged == LabelMerge(frozenset("c"), frozenset(), frozenset("a"), frozenset())


def test_what_a_place_stands_for_is_spelled_as_gmail_does() -> None:
    wanted = {INBOX: "\\Inbox", SENT: "\\Sent", DRAFTS: "\\Draft", "Work/Old": "Work/Old", ARCHIVE: None, None: None}
    assert {label: spelled(label) for label in wanted} == wanted
    assert (borne(SENT), borne("Work"), borne(ARCHIVE), borne(None)) == (("\\Sent",), ("Work",), (), ())

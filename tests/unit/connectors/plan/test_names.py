"""What remote folders are called here."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.names import local_names, remote_name
from gateway.connectors.plan.roles import ARCHIVE, INBOX, JUNK, SENT, TRASH
from gateway.model.mailbox import MAX_NAME_OCTETS
from gateway.model.names import validate
from gateway.upstream.values import ListedMailbox


def folder(name: str, delimiter: str | None = "/") -> ListedMailbox:
    return ListedMailbox(name.encode("utf-8", "surrogatepass"), name, delimiter, frozenset())


def test_roles_go_into_our_own_mailboxes() -> None:
    listed = [folder("INBOX"), folder("Sent Items"), folder("Bin"), folder("Junk"), folder("Archiv")]
    roles = {b"INBOX": INBOX, b"Sent Items": SENT, b"Bin": TRASH, b"Junk": JUNK, b"Archiv": ARCHIVE}
    assert local_names(listed, roles) == {
        b"INBOX": "INBOX", b"Sent Items": "Sent", b"Bin": "Trash", b"Junk": "Spam", b"Archiv": "Archive",
    }  # fmt: skip


def test_our_mailboxes_may_have_other_names() -> None:
    assert local_names([folder("Sent")], {b"Sent": SENT}, standard={SENT: "Gesendet"}) == {b"Sent": "Gesendet"}


def test_a_folder_that_only_is_called_like_ours_gets_another_name() -> None:
    listed = [folder("Sent Items"), folder("Sent"), folder("Spam"), folder("Drafts")]
    names = local_names(listed, {b"Sent Items": SENT})
    assert names == {b"Sent Items": "Sent", b"Sent": "Sent (2)", b"Spam": "Spam (2)", b"Drafts": "Drafts (2)"}


def test_delimiters_and_the_prefix_of_the_namespace_become_ours() -> None:
    listed = [folder("INBOX", "."), folder("INBOX.Work.a/b", "."), folder("inbox.Play", "."), folder("INBOX.", ".")]
    assert local_names(listed, {}, prefix="INBOX.") == {
        b"INBOX": "INBOX", b"INBOX.Work.a/b": "Work/a_b", b"inbox.Play": "Play", b"INBOX.": "INBOX/_",
    }  # fmt: skip


def test_a_server_without_levels() -> None:
    assert local_names([folder("a.b", None)], {}) == {b"a.b": "a.b"}


@pytest.mark.parametrize(
    ("remote", "local"),
    [("a*b%c", "a_b_c"), ("tab\there", "tab_here"), ("", "_"), ("a//b", "a/_/b"), ("e\u0301", "é"),
     ("\u2028", "_"), ("inbox/x", "INBOX/x"), ("\ud800", "_")],
)  # fmt: skip
def test_what_our_names_may_not_hold(remote: str, local: str) -> None:
    assert list(local_names([folder(remote)], {}).values()) == [local]


def test_long_names_are_cut_and_stay_apart() -> None:
    listed = [folder("x" * 5000 + "1"), folder("x" * 5000 + "2"), folder("/".join("d" * 500)), folder("ü" * 600)]
    names = local_names(listed, {})
    assert len(set(names.values())) == 4
    for name in names.values():
        assert validate(name) == name
        assert len(name.encode()) <= MAX_NAME_OCTETS


def test_a_pile_of_combining_characters() -> None:
    assert list(local_names([folder("e" + "\u0301" * 60)], {}).values()) == ["e"]


def test_names_that_become_the_same_stay_apart() -> None:
    listed = [folder("a*"), folder("a%"), folder("a_")]
    assert sorted(local_names(listed, {}).values()) == ["a_", "a_ (2)", "a_ (3)"]


def test_a_name_that_was_given_is_kept() -> None:
    listed = [folder("a*"), folder("a%"), folder("Sent")]
    names = local_names(listed, {b"Sent": SENT}, known={b"a*": "Elsewhere", b"Sent": "Copies"})
    assert names == {b"a*": "Elsewhere", b"a%": "a_", b"Sent": "Copies"}


def test_names_of_another_connector_are_taken_but_not_our_own_mailboxes() -> None:
    names = local_names([folder("INBOX"), folder("Work")], {b"INBOX": INBOX}, taken=frozenset({"INBOX", "Work"}))
    assert names == {b"INBOX": "INBOX", b"Work": "Work (2)"}


def test_all_below_one_mailbox() -> None:
    names = local_names([folder("INBOX"), folder("Sent"), folder("a/b")], {b"Sent": SENT}, below="Old account")
    assert names == {b"INBOX": "Old account", b"Sent": "Old account/Sent", b"a/b": "Old account/a/b"}


@pytest.mark.parametrize(
    ("local", "delimiter", "prefix", "below", "remote"),
    [("a/b", "/", "", "", "a/b"), ("a/b", ".", "INBOX.", "", "INBOX.a.b"), ("a.x/b", ".", "", "", None),
     ("a/b", None, "", "", None), ("a", None, "", "", "a"), ("Acc/a", "/", "", "Acc", "a"),
     ("Other", "/", "", "Acc", None)],
)  # fmt: skip
def test_what_a_mailbox_made_here_is_called_there(
    local: str, delimiter: str | None, prefix: str, below: str, remote: str | None
) -> None:
    assert remote_name(local, delimiter=delimiter, prefix=prefix, below=below) == remote

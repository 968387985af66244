"""Which folder is which: the user's word, attributes, what it was, what it is called."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.roles import (
    ALL,
    ARCHIVE,
    DRAFTS,
    FLAGGED,
    INBOX,
    JUNK,
    SENT,
    TRASH,
    resolve,
    role_of_attributes,
    role_of_name,
)
from gateway.upstream.values import ListedMailbox, MailboxStatus


def folder(
    name: str, *attributes: str, delimiter: str | None = "/", messages: int | None = None, object_id: str | None = None
) -> ListedMailbox:
    status = MailboxStatus(messages=messages, mailbox_id=object_id)
    return ListedMailbox(name.encode(), name, delimiter, frozenset(attributes), status)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Sent", SENT), ("Sent Items", SENT), ("SENT MAIL", SENT), ("Sent Messages", SENT), ("INBOX/Sent", SENT),
        ("Gesendet", SENT), ("Gesendete Elemente", SENT), ("Gesendete Objekte", SENT), ("Envoyés", SENT),
        ("Éléments envoyés", SENT), ("Inviata", SENT), ("Enviados", SENT), ("Verzonden", SENT),
        ("Отправленные", SENT), ("已发送", SENT), ("Trash", TRASH), ("Deleted Items", TRASH), ("Deleted", TRASH),
        ("Deleted Messages", TRASH), ("Bin", TRASH), ("Papierkorb", TRASH), ("Gelöscht", TRASH),
        ("Gelöschte Elemente", TRASH), ("Corbeille", TRASH), ("Cestino", TRASH), ("Papelera", TRASH),
        ("Корзина", TRASH), ("已删除", TRASH), ("Junk", JUNK), ("Junk Email", JUNK), ("Junk E-mail", JUNK),
        ("Junk-E-Mail", JUNK), ("Spam", JUNK), ("Bulk", JUNK), ("Bulk Mail", JUNK), ("Spamverdacht", JUNK),
        ("Unbekannt", JUNK), ("Indésirables", JUNK), ("垃圾邮件", JUNK), ("Drafts", DRAFTS), ("Draft", DRAFTS),
        ("Entwürfe", DRAFTS), ("Brouillons", DRAFTS), ("Bozze", DRAFTS), ("Borradores", DRAFTS),
        ("Черновики", DRAFTS), ("草稿箱", DRAFTS), ("Archive", ARCHIVE), ("Archiv", ARCHIVE), ("Archives", ARCHIVE),
        ("All Mail", ALL), ("[Gmail]/All Mail", ALL), ("[Google Mail]/Trash", TRASH), ("Inbox", INBOX),
        ("Entwu\u0308rfe", DRAFTS), ("Ｓｅｎｔ", SENT),
    ],
)  # fmt: skip
def test_names_that_mean_a_role(name: str, role: str) -> None:
    assert role_of_name(name, "/") == role


@pytest.mark.parametrize(
    "name",
    ["Mail", "Messages", "Sent to Bob", "Projects/Sent", "INBOX/a/Sent", "Sentinel", "", "-", "x" * 100_000,
     "e\u0301" * 40, "e" + "\u0301" * 60, "Trash Drafts"],
)  # fmt: skip
def test_names_that_mean_none(name: str) -> None:
    assert role_of_name(name, "/") is None


def test_a_name_without_hierarchy_is_one_level() -> None:
    assert role_of_name("Sent", None) == SENT
    assert role_of_name("INBOX.Sent", ".") == SENT
    assert role_of_name("INBOX.Sent", None) is None


@pytest.mark.parametrize(
    ("attributes", "role"),
    [({"\\sent", "\\hasnochildren"}, SENT), ({"\\allmail"}, ALL), ({"\\spam"}, JUNK), ({"\\starred"}, FLAGGED),
     ({"\\junk", "\\trash"}, TRASH), ({"\\marked"}, None), (set(), None)],
)  # fmt: skip
def test_attributes(attributes: set[str], role: str | None) -> None:
    assert role_of_attributes(frozenset(attributes)) == role


def test_an_attribute_beats_a_name() -> None:
    roles = resolve([folder("Sent"), folder("Outgoing", "\\sent")])
    assert roles.of == {b"Outgoing": SENT}
    assert roles.by == {SENT: b"Outgoing"}
    (clash,) = roles.clashes
    assert (clash.role, clash.winner.name, [loser.name for loser in clash.losers]) == (SENT, "Outgoing", ["Sent"])


def test_the_user_beats_an_attribute() -> None:
    listed = [folder("Sent", "\\sent"), folder("Copies")]
    assert resolve(listed, overrides={SENT: "Copies"}).by == {SENT: b"Copies"}


def test_the_user_may_say_that_no_folder_has_a_role() -> None:
    roles = resolve([folder("Archive", "\\archive"), folder("Trash")], overrides={ARCHIVE: None})
    assert roles.by == {TRASH: b"Trash"}


def test_the_user_may_name_a_folder_by_its_octets() -> None:
    listed = [ListedMailbox(b"Entw&APw-rfe", "Entwürfe", "/", frozenset()), folder("Drafts")]
    assert resolve(listed, overrides={DRAFTS: "Entw&APw-rfe"}).by == {DRAFTS: b"Entw&APw-rfe"}


def test_an_override_that_names_nothing_leaves_the_role_to_others() -> None:
    assert resolve([folder("Sent")], overrides={SENT: "gone"}).by == {SENT: b"Sent"}


def test_a_renamed_folder_is_remembered_by_its_id() -> None:
    listed = [folder("Old letters", object_id="F7"), folder("Sent")]
    assert resolve(listed, remembered={"F7": SENT}).by == {SENT: b"Old letters"}


def test_of_two_claimants_the_shallower_wins_then_the_fuller() -> None:
    assert resolve([folder("INBOX/Trash"), folder("Trash")]).by[TRASH] == b"Trash"
    listed = [folder("Trash", messages=1), folder("Deleted Items", messages=9)]
    assert resolve(listed).by[TRASH] == b"Deleted Items"
    listed = [folder("Trash"), folder("Deleted Items")]
    assert resolve(listed).by == resolve(listed[::-1]).by, "whatever the order of LIST"


def test_what_cannot_be_selected_has_no_role() -> None:
    assert resolve([folder("Sent", "\\sent", "\\noselect")]).by == {}


def test_a_folder_that_is_listed_twice_is_no_clash() -> None:
    roles = resolve([folder("Sent", "\\sent"), folder("Sent", "\\sent")])
    assert roles.by == {SENT: b"Sent"}
    assert roles.clashes == ()


def test_inbox_is_only_inbox() -> None:
    roles = resolve([folder("Posteingang", "\\inbox"), folder("inbox", "\\trash")])
    assert roles.by == {INBOX: b"inbox"}

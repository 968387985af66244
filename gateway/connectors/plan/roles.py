"""Which folder of an account is its Sent, Drafts, Trash …: by the user, by LIST, by what it was and is called.

Attributes count whatever CAPABILITY says: several servers send them without SPECIAL-USE (RFC 6154), or as XLIST did.
The user's word comes first, against an attribute too: he sees where his mail goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from gateway.model.composed import composed
from gateway.model.mailbox import DRAFTS, INBOX, JUNK, SENT, TRASH
from gateway.upstream.values import ListedMailbox

ALL: Final = "\\All"
ARCHIVE: Final = "\\Archive"
FLAGGED: Final = "\\Flagged"
IMPORTANT: Final = "\\Important"
ROLES: Final = (INBOX, SENT, DRAFTS, TRASH, JUNK, ARCHIVE, ALL, FLAGGED, IMPORTANT)
"""In this order where a folder has several. INBOX stands for itself: it has no attribute but XLIST's."""
VIRTUAL: Final = frozenset((ALL, FLAGGED, IMPORTANT))
"""They show messages that are in other folders as well."""
__all__ = ["ALL", "ARCHIVE", "DRAFTS", "FLAGGED", "IMPORTANT", "INBOX", "JUNK", "ROLES", "SENT", "TRASH", "VIRTUAL"]

_OF_ATTRIBUTE: Final = {
    "\\inbox": INBOX, "\\sent": SENT, "\\drafts": DRAFTS, "\\trash": TRASH, "\\junk": JUNK, "\\spam": JUNK,
    "\\archive": ARCHIVE, "\\all": ALL, "\\allmail": ALL, "\\flagged": FLAGGED, "\\starred": FLAGGED,
    "\\important": IMPORTANT,
}  # fmt: skip

_NAMES: Final = {
    SENT: "sent gesendet gesendete envoyés envoyé inviata inviati enviados enviadas verzonden отправленные"
    " 已发送 已傳送 送信済み skickat sendt lähetetyt wysłane odeslané",
    TRASH: "trash deleted bin rubbish papierkorb gelöscht gelöschte corbeille supprimés cestino eliminati papelera"
    " eliminados lixeira prullenbak корзина удаленные удалённые 已删除 ゴミ箱 papperskorg kosz koš",
    JUNK: "junk spam bulk spamverdacht unbekannt indésirables indésirable spamverdächtig ongewenst спам нежелательные"
    " 垃圾邮件 迷惑メール skräppost",
    DRAFTS: "drafts draft entwürfe entwurf brouillons bozze borradores rascunhos concepten черновики 草稿箱 草稿 下書き"
    " utkast koncepty",
    ARCHIVE: "archive archives archiv archief archivio archivo arquivo архив 归档",
}
_ROLE_OF_KEY: Final = {key: role for role, keys in _NAMES.items() for key in keys.split()}
_ALL_MAIL: Final = frozenset(("all mail", "alle nachrichten", "tous les messages"))
_GENERIC_WORDS: Final = (
    "mail mails e email items item messages message elemente objekte nachrichten éléments elementos posta mensajes"
    " folder ordner"
)
_GENERIC: Final = frozenset(_GENERIC_WORDS.split())
"""Words that say nothing: Sent Items, Deleted Messages, Gesendete Objekte, Junk E-Mail."""
_WORDS: Final = re.compile(r"[^\W_]+")
_LONGEST: Final = 64
"""Characters of a name that may mean a role."""


class Claim(IntEnum):
    """Why a folder has a role; the smaller wins."""

    OVERRIDE = 0
    ATTRIBUTE = 1
    REMEMBERED = 2
    NAME = 3


@dataclass(frozen=True, slots=True)
class RoleClash:
    """Several folders that say they are the same: `losers` are folders like any other."""

    role: str
    winner: ListedMailbox
    losers: tuple[ListedMailbox, ...]


@dataclass(frozen=True, slots=True)
class Roles:
    """`of`: raw name -> role; `by`: role -> raw name."""

    of: Mapping[bytes, str] = field(default_factory=dict)
    by: Mapping[str, bytes] = field(default_factory=dict)
    clashes: tuple[RoleClash, ...] = ()


def role_of_attributes(attributes: frozenset[str]) -> str | None:
    found = {_OF_ATTRIBUTE[name] for name in attributes if name in _OF_ATTRIBUTE}
    return next((role for role in ROLES if role in found), None)


def role_of_name(name: str, delimiter: str | None) -> str | None:
    """By the table of names: only on the first level, below INBOX, or below a level of Gmail's ([Gmail])."""
    if name.upper() == INBOX:
        return INBOX
    levels = name.split(delimiter) if delimiter else [name]
    if len(levels) > 2 or (len(levels) == 2 and levels[0].upper() != INBOX and not levels[0].startswith("[")):
        return None
    leaf = levels[-1]
    folded = composed(leaf, "NFKC") if len(leaf) <= _LONGEST else None
    if folded is None:
        return None
    words = _WORDS.findall(folded.casefold())
    if " ".join(words) in _ALL_MAIL:
        return ALL
    telling = [word for word in words if word not in _GENERIC]
    return _ROLE_OF_KEY.get(telling[0]) if len(telling) == 1 else None


def resolve(
    listed: Sequence[ListedMailbox],
    *,
    overrides: Mapping[str, str | None] | None = None,
    remembered: Mapping[str, str] | None = None,
) -> Roles:
    """The role of each folder; each role once.

    `overrides`: role -> name of a folder as people write it, or its raw octets as text; None: no folder has that role.
    `remembered`: MAILBOXID (RFC 8474) -> the role that it had, which outlives a rename. A folder that has claims to
    several roles has the strongest; of two folders with equal claims the shallower has the role, then the fuller one.
    """
    overrides, remembered = overrides or {}, remembered or {}
    claims: dict[str, list[tuple[Claim, int, int, bytes, ListedMailbox]]] = {}
    for folder in listed:
        if not folder.selectable:
            continue
        found = _claim(folder, overrides, remembered)
        if found is None:
            continue
        role, claim = found
        depth = folder.name.count(folder.delimiter) if folder.delimiter else 0
        messages = (folder.status.messages or 0) if folder.status is not None else 0
        claims.setdefault(role, []).append((claim, depth, -messages, folder.raw, folder))
    of: dict[bytes, str] = {}
    by: dict[str, bytes] = {}
    clashes = []
    for role, candidates in claims.items():
        candidates.sort(key=lambda candidate: candidate[:4])
        winner = candidates[0][-1]
        of[winner.raw] = role
        by[role] = winner.raw
        losers = tuple(dict.fromkeys(one[-1] for one in candidates[1:] if one[-1].raw != winner.raw))
        if losers:
            clashes.append(RoleClash(role, winner, losers))
    return Roles(of, by, tuple(clashes))


def _claim(
    folder: ListedMailbox, overrides: Mapping[str, str | None], remembered: Mapping[str, str]
) -> tuple[str, Claim] | None:
    if folder.name.upper() == INBOX:
        return INBOX, Claim.OVERRIDE  # RFC 3501 5.1: nothing else is
    raw = folder.raw.decode("latin-1")
    for wanted, name in overrides.items():
        if name is not None and name in (folder.name, raw):
            return wanted, Claim.OVERRIDE
    taken = {role for role, name in overrides.items() if name is None}
    object_id = folder.status.mailbox_id if folder.status is not None else None
    for role, claim in (
        (role_of_attributes(folder.attributes), Claim.ATTRIBUTE),
        (remembered.get(object_id) if object_id else None, Claim.REMEMBERED),
        (role_of_name(folder.name, folder.delimiter), Claim.NAME),
    ):
        if role is not None and role not in taken and role != INBOX:
            return role, claim
    return None

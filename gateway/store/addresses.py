"""Addresses: their one spelling for comparing, who owns which, and where a recipient leads.

Local parts compare without case (RFC 5321 2.4 leaves it to the receiving host, and nobody expects Anna@ and anna@
to be two people), after NFC; domains by their A-labels, so that a client may write either form of an IDN. Both are
stored so. `@domain` is the catch-all of a local domain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import idna

from gateway.model.composed import composed
from gateway.model.errors import AlreadyExists, CannotChange, InvalidName, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind

from .db import Rx, Tx, WakeKind
from .statements import Stmt
from .texts import made_storable, storable

MAX_LOCAL_PART: Final = 64  # octets, RFC 5321 4.5.3.1.1
MAX_DOMAIN: Final = 253  # octets without the root's dot, RFC 1035 2.3.4

_LONGEST: Final = 500  # characters of a domain as a client may write it: A-labels are made in more than linear time

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DOT_ATOM = re.compile(r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+(\.[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')

_OWNERS = Stmt(
    "SELECT a.address, a.kind, a.inbox_id, i.pod_id, i.deleted_at FROM address a JOIN inbox i ON i.id = a.inbox_id"
    " WHERE a.address IN :TEXTS(addresses)"
)
_LOCAL_DOMAIN = Stmt("SELECT 1 FROM domain WHERE name = :name AND local = 1")
_DOMAIN_POD = Stmt("SELECT pod_id, local FROM domain WHERE name = :name")
_INBOX_POD = Stmt("SELECT pod_id FROM inbox WHERE id = :inbox AND deleted_at IS NULL")
_INSERT = Stmt(
    "INSERT INTO address (address, inbox_id, kind, created_at) VALUES (:address, :inbox, :kind, :now)"
    " ON CONFLICT (address) DO NOTHING"
)
_DELETE = Stmt("DELETE FROM address WHERE address = :address")
_ONE = Stmt("SELECT address, inbox_id, kind, created_at FROM address WHERE address = :address")
_ALL = Stmt("SELECT address, inbox_id, kind, created_at FROM address ORDER BY inbox_id, kind DESC, address")
_OF_INBOX = Stmt(
    "SELECT address, inbox_id, kind, created_at FROM address WHERE inbox_id = :inbox ORDER BY kind DESC, address"
)


class AddressKind(StrEnum):
    PRIMARY = "primary"
    """The inbox's user name; one an inbox."""
    ALIAS = "alias"
    """Leads here and may be sent from; `@domain` is the domain's catch-all."""
    EXTERNAL = "external"
    """A connector's account: may be sent from, and is never a local destination."""


@dataclass(frozen=True, slots=True)
class AddressRow:
    address: str
    inbox_id: InboxId
    kind: AddressKind
    created_at: int


@dataclass(frozen=True, slots=True)
class Local:
    """The recipient is an inbox here."""

    inbox_id: InboxId


@dataclass(frozen=True, slots=True)
class UnknownLocal:
    """A local domain that has no such address: 550 5.1.1, never relayed."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Somebody else's domain."""


Resolution = Local | UnknownLocal | Remote


def canonical_domain(name: str) -> str:
    """Lower-case A-labels (RFC 5890) without the root's dot; InvalidName when it is no domain name."""
    text = (composed(name.strip()) or "").lower().removesuffix(".") if len(name) <= _LONGEST else ""
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise InvalidName("That is no domain name") from error
    if not text or len(text) > MAX_DOMAIN or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise InvalidName("That is no domain name")
    return text


def canonical_address(address: str) -> str:
    """The stored form of an address that an inbox may have: a dot-atom local part and a domain.

    InvalidName otherwise; quoted local parts are not given out (half the world's forms refuse them).
    """
    local, at, domain = address.strip().rpartition("@")
    local = (composed(local) or "").lower()
    known = storable(local) and "\ufffd" not in local and _DOT_ATOM.fullmatch(local) is not None
    if not at or not known or len(local.encode("utf-8")) > MAX_LOCAL_PART:
        raise InvalidName("That is no e-mail address")
    return f"{local}@{canonical_domain(domain)}"


def canonical_catch_all(address: str) -> str:
    """`@domain` in its stored form."""
    return "@" + canonical_domain(address.strip().removeprefix("@"))


def spellings(address: str) -> tuple[str, ...]:
    """Addresses that may own `address`, the nearest first: itself, without its +detail, the domain's catch-all.

    Empty when it is no address that an inbox here could have (an address literal, no domain).
    """
    local, at, domain = address.strip().rpartition("@")
    quoted = _QUOTED.fullmatch(local)
    if quoted is not None:  # RFC 5321 4.1.2: "joe"@d and joe@d are the same mailbox
        local = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        domain = canonical_domain(domain)
    except InvalidName:
        return ()
    if not at or not local:
        return ()
    local = made_storable(local)
    local = (composed(local) or local).lower()
    base, plus, _ = local.partition("+")
    found = [f"{local}@{domain}"]
    if plus and base:
        found.append(f"{base}@{domain}")
    found.append(f"@{domain}")
    return tuple(found)


def add_address(tx: Tx, inbox_id: InboxId, address: str, kind: str = AddressKind.ALIAS, *, now: int = 0) -> AddressRow:
    """A further address of the inbox. `alias`: its domain is one of the inbox's pod; `@domain` makes a catch-all.

    `external` may be anywhere but in a domain that is delivered here. Raises NotFound (inbox, domain),
    AlreadyExists, InvalidName.
    """
    kind = AddressKind(kind)
    catch_all = address.strip().startswith("@")
    if catch_all and kind is not AddressKind.ALIAS:
        raise InvalidName("Only an alias can be a catch-all")
    stored = canonical_catch_all(address) if catch_all else canonical_address(address)
    pod_id = tx.scalar(_INBOX_POD, inbox=inbox_id)
    if pod_id is None:
        raise NotFound("No such inbox")
    domain = stored.rpartition("@")[2]
    found = tx.one(_DOMAIN_POD, name=domain)
    if kind is AddressKind.EXTERNAL:
        if found is not None and found[1]:
            raise CannotChange(f"{domain} is delivered here: an external address is somebody else's")
    elif found is None or found[0] != pod_id:
        raise NotFound(f"The inbox's pod has no domain {domain}")
    if tx.run(_INSERT, address=stored, inbox=inbox_id, kind=kind.value, now=now) == 0:
        raise AlreadyExists(f"The address {stored} is taken")
    tx.wake(inbox_id, kind=WakeKind.INBOX)
    return AddressRow(stored, inbox_id, kind, now)


def delete_address(tx: Tx, address: str) -> None:
    """NotFound, or CannotChange for a primary address: that is the inbox's name."""
    catch_all = address.strip().startswith("@")
    stored = canonical_catch_all(address) if catch_all else canonical_address(address)
    row = tx.one(_ONE, address=stored)
    if row is None:
        raise NotFound(f"There is no address {stored}")
    if row[2] == AddressKind.PRIMARY:
        raise CannotChange("A primary address is deleted with its inbox")
    tx.run(_DELETE, address=stored)
    tx.wake(InboxId(row[1]), kind=WakeKind.INBOX)


def addresses(rx: Rx, inbox_id: InboxId | None = None) -> list[AddressRow]:
    """All addresses, or one inbox's: the primary one first."""
    rows = rx.all(_ALL) if inbox_id is None else rx.all(_OF_INBOX, inbox=inbox_id)
    return [AddressRow(row[0], InboxId(row[1]), AddressKind(row[2]), row[3]) for row in rows]


def resolve_recipient(rx: Rx, address: str) -> Resolution:
    """Where mail for `address` goes: exact, without its +detail, the domain's catch-all.

    An inbox in its grace period is unknown, and its mail does not fall to the catch-all.
    """
    candidates = spellings(address)
    if not candidates or rx.one(_LOCAL_DOMAIN, name=candidates[0].rpartition("@")[2]) is None:
        return Remote()
    owner = _owner(rx, candidates, (AddressKind.PRIMARY, AddressKind.ALIAS))
    if owner is None or owner[2] is not None:
        return UnknownLocal()
    return Local(owner[0])


def deliverable(rx: Rx, address: str) -> AddressRow | None:
    """The row by which an inbox here gets mail for `address`: its own, an alias, the catch-all. None: nobody has it."""
    for candidate in spellings(address):
        row = rx.one(_ONE, address=candidate)
        if row is not None and row[2] != AddressKind.EXTERNAL:
            found = AddressRow(row[0], InboxId(row[1]), AddressKind(row[2]), row[3])
            return found if rx.one(_INBOX_POD, inbox=found.inbox_id) is not None else None
    return None


def may_send_as(
    rx: Rx, scope: ScopeKind, pod_id: PodId | None, inbox_id: InboxId | None, address: str
) -> InboxId | None:
    """The inbox that owns `address`, if it lies in the scope of a key; else None ("Sender not authorized").

    Aliases, external addresses, +detail forms and, where nobody else has the address, the domain's catch-all count.
    `inbox_id` matters for scope INBOX, `pod_id` for scope POD.
    """
    owner = _owner(rx, spellings(address), tuple(AddressKind))
    if owner is None or owner[2] is not None:
        return None
    found, pod, _ = owner
    allowed = {ScopeKind.ALL: True, ScopeKind.POD: pod == pod_id, ScopeKind.INBOX: found == inbox_id}
    return found if allowed[scope] else None


def _owner(
    rx: Rx, candidates: tuple[str, ...], kinds: tuple[AddressKind, ...]
) -> tuple[InboxId, PodId, int | None] | None:
    """(inbox, its pod, when it was deleted) of the first candidate that somebody has."""
    if not candidates:
        return None
    rows = {row[0]: row for row in rx.all(_OWNERS, addresses=list(candidates)) if row[1] in kinds}
    for candidate in candidates:
        if candidate in rows:
            _, _, inbox_id, pod_id, deleted_at = rows[candidate]
            return InboxId(inbox_id), PodId(pod_id), deleted_at
    return None

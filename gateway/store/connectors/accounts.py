"""Connectors as people make, find, change and switch them; what a worker says about one is in `state`.

What people set carries a version, and who changes it names the one that he read. A change takes the connector from
whoever works on it: the next worker begins with what is set now.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model.errors import AlreadyExists, InvalidName, InvalidRequest, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.store import addresses, counters, inboxes, pods, queue_account
from gateway.store.addresses import AddressKind
from gateway.store.db import Rx, Tx, WakeKind
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable, storable

from . import lease
from .rows import CONNECTOR, MODES, Ambiguous, Changed, ConnectorId, ConnectorRow, ConnectorState, Mode, connector

MAX_NAME: Final = 200  # characters: it stands in tables and log lines
_TRIES: Final = 100  # names tried for the inbox of an account whose own is taken
_THERE: Final = "c.removed_at IS NULL"

_BY_ID = Stmt(f"{CONNECTOR} WHERE c.id = :connector AND {_THERE}")
_BY_UUID = Stmt(f"{CONNECTOR} WHERE c.uuid = :uuid AND {_THERE}")
_BY_NAME = Stmt(f"{CONNECTOR} WHERE c.name = :name AND {_THERE} ORDER BY c.id LIMIT 2")
_BY_NAME_IN = Stmt(f"{CONNECTOR} WHERE c.pod_id = :pod AND c.name = :name AND {_THERE}")
_BY_ADDRESS = Stmt(f"{CONNECTOR} WHERE c.address = :address AND {_THERE} ORDER BY c.id LIMIT 2")
_BY_ADDRESS_IN = Stmt(
    f"{CONNECTOR} WHERE c.pod_id = :pod AND c.address = :address AND {_THERE} ORDER BY c.id LIMIT 2"
)
_PAGE = Stmt(f"{CONNECTOR} WHERE c.id > :after AND {_THERE} ORDER BY c.id LIMIT :most")
_VERSIONS = Stmt(f"SELECT c.id, c.version, c.files_sent FROM connector c WHERE {_THERE}")
_SOME = Stmt(f"{CONNECTOR} WHERE c.id IN :LIST(connectors) AND {_THERE}")
_PAGE_OF_POD = Stmt(f"{CONNECTOR} WHERE c.id > :after AND c.pod_id = :pod AND {_THERE} ORDER BY c.id LIMIT :most")
_PAGE_OF_INBOX = Stmt(f"{CONNECTOR} WHERE c.id > :after AND c.inbox_id = :inbox AND {_THERE} ORDER BY c.id LIMIT :most")
_INSERT = Stmt(
    "INSERT INTO connector (uuid, pod_id, inbox_id, name, address, own_address, provider, enabled, mode, interval_s,"
    " state, state_since, created_at, updated_at, grant_id, imap_secret, smtp_secret, options) VALUES (:uuid, :pod,"
    " :inbox, :name, :address, :own, :provider, :enabled, :mode, :interval, 'new', :now, :now, :now, :grant,"
    " :imap_secret, :smtp_secret, :options) ON CONFLICT (pod_id, name) DO NOTHING RETURNING id"
)
_SET = Stmt(
    "UPDATE connector SET name = :name, provider = :provider, mode = :mode, interval_s = :interval_s,"
    " options = :options, imap_secret = :imap_secret, smtp_secret = :smtp_secret, grant_id = :grant_id,"
    " version = version + 1, updated_at = :now, failures = 0, not_before = 0, failure = NULL, reason = NULL,"
    " state = :state, state_since = :since WHERE id = :connector"
)
_ENABLE = Stmt(
    "UPDATE connector SET enabled = :enabled, version = version + 1, updated_at = :now, failures = 0, not_before = 0"
    " WHERE id = :connector"
)
_ASK = Stmt("UPDATE connector SET sync_asked_at = :now, not_before = 0 WHERE id = :connector")
_TAKEN = Stmt("SELECT 1 FROM address WHERE address = :address")

_FROM_NOW = Stmt(
    "UPDATE remote_folder SET pushed_modseq = (SELECT i.modseq FROM inbox i WHERE i.id = :inbox)"
    " WHERE connector_id = :connector"
)
_CHANGEABLE: Final = frozenset(
    {"name", "provider", "mode", "interval_s", "options", "imap_secret", "smtp_secret", "grant_id"}
)


@dataclass(frozen=True, slots=True)
class NewConnector:
    """What `create` is given. `inbox_id` None: an inbox is made, of `inbox_address`, or of a name like the account's in
    the pod's oldest domain. `uuid`: of the caller's choice, since secrets are sealed for it."""

    pod_id: PodId
    name: str
    address: str
    inbox_id: InboxId | None = None
    inbox_address: str | None = None
    provider: str | None = None
    mode: Mode = "pull"
    interval_s: int | None = None
    enabled: bool = True
    options: str = "{}"
    imap_secret: bytes | None = None
    smtp_secret: bytes | None = None
    grant_id: int | None = None
    uuid: str = field(default_factory=lambda: str(uuids.uuid4()))


def create(tx: Tx, new: NewConnector, *, now: int) -> ConnectorRow:
    """A connector, its inbox if it has none, and the account's address as an external one of the inbox.

    An address that the inbox has already is no error. Raises NotFound (pod, inbox, a domain for the new inbox),
    AlreadyExists (the name in the pod, or the address is another inbox's), CannotChange (the account's domain is
    delivered here), InvalidName, InvalidRequest.
    """
    name = _valid_name(new.name)
    _check_mode(new.mode)
    address = addresses.canonical_address(new.address)
    inbox_id = new.inbox_id if new.inbox_id is not None else _make_inbox(tx, new, address, now)
    counters.lock(tx, inbox_id)
    inbox = inboxes.inbox_by_id(tx, inbox_id)
    if inbox is None or inbox.deleted_at is not None or inbox.pod_id != new.pod_id:
        raise NotFound("The pod has no such inbox")
    own = _add_address(tx, inbox_id, address, now)
    number = tx.scalar(
        _INSERT, uuid=new.uuid, pod=new.pod_id, inbox=inbox_id, name=name, address=address, own=int(own),
        provider=new.provider, enabled=int(new.enabled), mode=new.mode, interval=new.interval_s, now=now,
        grant=new.grant_id, imap_secret=new.imap_secret, smtp_secret=new.smtp_secret,
        options=made_storable(new.options),
    )  # fmt: skip
    if number is None:
        raise AlreadyExists(f"The pod has a connector {name} already")
    tx.wake(inbox_id, kind=WakeKind.CONNECTOR)
    return get(tx, ConnectorId(number))


def _make_inbox(tx: Tx, new: NewConnector, address: str, now: int) -> InboxId:
    if new.inbox_address is not None:
        return inboxes.create_inbox(tx, new.pod_id, new.inbox_address, now=now).id
    if pods.pod_by_id(tx, new.pod_id) is None:
        raise NotFound("No such pod")
    mine = [domain for domain in pods.domains(tx) if domain.pod_id == new.pod_id]
    if not mine:
        raise NotFound("The pod has no domain for a new inbox: name an inbox, or add a domain")
    domain = min(mine, key=lambda each: (not each.local, each.id)).name
    local, at, elsewhere = address.rpartition("@")
    for number in range(_TRIES):
        wanted = local if number == 0 else f"{local}.{elsewhere}" + (f".{number}" if number > 1 else "")
        found = f"{wanted[-addresses.MAX_LOCAL_PART:].lstrip('.')}{at}{domain}"
        if tx.one(_TAKEN, address=found) is None:
            return inboxes.create_inbox(tx, new.pod_id, found, now=now).id
    raise AlreadyExists(f"{domain} has no free address like {address}: name the inbox's address")


def _add_address(tx: Tx, inbox_id: InboxId, address: str, now: int) -> bool:
    """Whether it was added; False: the inbox has it."""
    if any(row.address == address for row in addresses.addresses(tx, inbox_id)):
        return False
    addresses.add_address(tx, inbox_id, address, AddressKind.EXTERNAL, now=now)
    return True


def get(rx: Rx, connector_id: ConnectorId) -> ConnectorRow:
    """NotFound also for one that was removed."""
    row = rx.one(_BY_ID, connector=connector_id)
    if row is None:
        raise NotFound("No such connector")
    return connector(row)


def find(rx: Rx, word: str, pod_id: PodId | None = None) -> ConnectorRow:
    """By name, UUID or the account's address, of one pod or of any. NotFound; Ambiguous: several have it."""
    word = word.strip()
    if storable(word):
        for rows in _matching(rx, word, pod_id):
            if len(rows) > 1:
                raise Ambiguous(f"Several connectors are called {word}: name the pod, or use the UUID")
            if rows:
                return connector(rows[0])
    raise NotFound(f"There is no connector {word}")


def _matching(rx: Rx, word: str, pod_id: PodId | None) -> list[list[tuple[Any, ...]]]:
    try:
        address = addresses.canonical_address(word)
    except InvalidName:
        address = ""
    by_uuid = [row for row in rx.all(_BY_UUID, uuid=word.lower()) if pod_id is None or row[2] == pod_id]
    if pod_id is None:
        return [rx.all(_BY_NAME, name=word), by_uuid, rx.all(_BY_ADDRESS, address=address)]
    return [
        rx.all(_BY_NAME_IN, name=word, pod=pod_id), by_uuid, rx.all(_BY_ADDRESS_IN, address=address, pod=pod_id),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """Another one: options, address, being on, or what the server does with sent mail may be others."""

    number: int
    files_sent: bool | None


def versions(rx: Rx) -> dict[ConnectorId, Version]:
    """Of all: a short look where their states change all the time."""
    return {
        ConnectorId(row[0]): Version(row[1], None if row[2] is None else bool(row[2])) for row in rx.all(_VERSIONS)
    }


def some(rx: Rx, connector_ids: Sequence[ConnectorId]) -> list[ConnectorRow]:
    """Those of them that are there."""
    return [connector(row) for row in rx.all(_SOME, connectors=list(connector_ids))]


def page(
    rx: Rx, *, pod_id: PodId | None = None, inbox_id: InboxId | None = None, after: int = 0, limit: int = 200
) -> list[ConnectorRow]:
    """Connectors by number, of a pod, of an inbox or all; go on with `after` = the last one's id."""
    if inbox_id is not None:
        rows = rx.all(_PAGE_OF_INBOX, after=after, inbox=inbox_id, most=limit)
    elif pod_id is not None:
        rows = rx.all(_PAGE_OF_POD, after=after, pod=pod_id, most=limit)
    else:
        rows = rx.all(_PAGE, after=after, most=limit)
    return [connector(row) for row in rows]


def change(
    tx: Tx, connector_id: ConnectorId, expected_version: int, values: Mapping[str, Any], *, now: int
) -> ConnectorRow:
    """Set fields of `values`: name, provider, mode, interval_s, options, imap_secret, smtp_secret, grant_id.

    Whoever works on it loses the lease, and what failed is tried again at once. What changed here before it became
    two-way does not go up. Raises NotFound, Changed (another
    version than `expected_version`), AlreadyExists (the name), InvalidName, InvalidRequest.
    """
    if unknown := values.keys() - _CHANGEABLE:
        raise InvalidRequest(f"{', '.join(sorted(unknown))} cannot be set")
    before = locked(tx, connector_id)
    if before.version != expected_version:
        raise Changed("Somebody changed this connector meanwhile: look at it again")
    wanted = {name: values.get(name, getattr(before, name)) for name in _CHANGEABLE}
    wanted["name"] = _valid_name(wanted["name"])
    wanted["options"] = made_storable(wanted["options"])
    _check_mode(wanted["mode"])
    if wanted["name"] != before.name and tx.one(_BY_NAME_IN, name=wanted["name"], pod=before.pod_id) is not None:
        raise AlreadyExists(f"The pod has a connector {wanted['name']} already")
    state = ConnectorState.NEW if before.failure is not None or before.mode != wanted["mode"] else before.state
    since = now if state is not before.state else before.state_since
    tx.run(_SET, connector=connector_id, state=state.value, since=since, now=now, **wanted)
    if wanted["mode"] == "two-way" and before.mode != "two-way":
        tx.run(_FROM_NOW, connector=connector_id, inbox=before.inbox_id)
    lease.revoke(tx, connector_id)
    tx.wake(before.inbox_id, kind=WakeKind.CONNECTOR)
    return get(tx, connector_id)


def set_enabled(tx: Tx, connector_id: ConnectorId, enabled: bool, *, now: int) -> ConnectorRow:
    """Switch it; what is so already stays as it is. NotFound.

    Off, its worker's next write is refused. On, mail that waited for it is due.
    """
    before = locked(tx, connector_id)
    if before.enabled is not enabled:
        tx.run(_ENABLE, connector=connector_id, enabled=int(enabled), now=now)
        lease.revoke(tx, connector_id)
        tx.wake(before.inbox_id, kind=WakeKind.CONNECTOR)
        if enabled:
            queue_account.account_back(tx, before.inbox_id, before.address, now)
    return get(tx, connector_id)


def ask_sync(tx: Tx, connector_id: ConnectorId, *, now: int) -> None:
    """Somebody wants a sync now: whoever owns it is woken, and without an owner it is due. NotFound."""
    inbox_id = lease.inbox_of(tx, connector_id)
    counters.lock(tx, inbox_id)
    tx.run(_ASK, connector=connector_id, now=now)
    tx.wake(inbox_id, kind=WakeKind.CONNECTOR)


def locked(tx: Tx, connector_id: ConnectorId) -> ConnectorRow:
    """The row, read under its inbox's lock. NotFound."""
    counters.lock(tx, lease.inbox_of(tx, connector_id))
    return get(tx, connector_id)


def _valid_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidName(f"A connector's name has 1 to {MAX_NAME} printable characters")
    return name


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise InvalidRequest(f"mode is one of {', '.join(MODES)}")

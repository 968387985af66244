"""Pods (tenants) and the domains that belong to them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import AlreadyExists, CannotChange, InvalidName, NotFound
from gateway.model.ids import DomainId, PodId

from . import webhooks
from .addresses import canonical_domain
from .db import Rx, Tx
from .statements import Stmt
from .texts import storable

MAX_POD_NAME: Final = 200  # characters: it stands in tables and log lines

_POD: Final = "SELECT id, uuid, name, created_at FROM pod"
_PODS = Stmt(f"{_POD} ORDER BY name")
_POD_BY_NAME = Stmt(f"{_POD} WHERE name = :name")
_POD_BY_UUID = Stmt(f"{_POD} WHERE uuid = :uuid")
_POD_BY_ID = Stmt(f"{_POD} WHERE id = :pod")
_LOCK_POD = Stmt("SELECT id FROM pod WHERE id = :pod", postgresql="SELECT id FROM pod WHERE id = :pod FOR UPDATE")
_INSERT_POD = Stmt(
    "INSERT INTO pod (uuid, name, created_at) VALUES (:uuid, :name, :now) ON CONFLICT (name) DO NOTHING RETURNING id"
)
_DELETE_POD = Stmt("DELETE FROM pod WHERE id = :pod")
_CONTENTS_OF_POD = Stmt(
    "SELECT (SELECT count(*) FROM inbox WHERE pod_id = :pod), (SELECT count(*) FROM domain WHERE pod_id = :pod)"
)
_DELETE_POD_PASSKEYS = Stmt("DELETE FROM passkey WHERE key_id IN (SELECT id FROM api_key WHERE pod_id = :pod)")
_DELETE_POD_KEYS = Stmt("DELETE FROM api_key WHERE pod_id = :pod")
_DELETE_POD_LISTS = Stmt("DELETE FROM list_entry WHERE pod_id = :pod")
_DELETE_POD_NOTES = Stmt(
    "DELETE FROM resource_note WHERE owner = :pod OR (kind = 'pod' AND ref = (SELECT uuid FROM pod WHERE id = :pod))"
)

_DOMAIN: Final = (
    "SELECT d.id, d.name, d.pod_id, p.name, d.local, d.created_at FROM domain d JOIN pod p ON p.id = d.pod_id"
)
_DOMAINS = Stmt(f"{_DOMAIN} ORDER BY d.name")
_DOMAIN_BY_NAME = Stmt(f"{_DOMAIN} WHERE d.name = :name")
_INSERT_DOMAIN = Stmt(
    "INSERT INTO domain (name, pod_id, local, created_at) VALUES (:name, :pod, :local, :now)"
    " ON CONFLICT (name) DO NOTHING RETURNING id"
)
_DELETE_DOMAIN = Stmt("DELETE FROM domain WHERE id = :domain")
_DOMAIN_IN_USE = Stmt(
    "SELECT address FROM address WHERE kind <> 'external' AND address LIKE :ending ESCAPE '!' LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Pod:
    id: PodId
    uuid: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Domain:
    """`name` is the canonical form (`addresses.canonical_domain`). `local`: mail for it is delivered here."""

    id: DomainId
    name: str
    pod_id: PodId
    pod_name: str
    local: bool
    created_at: int


def create_pod(tx: Tx, name: str, *, now: int = 0) -> Pod:
    """InvalidName for an empty or unprintable name, AlreadyExists when it is taken."""
    name = name.strip()
    if not name or len(name) > MAX_POD_NAME or not name.isprintable():
        raise InvalidName(f"A pod's name has 1 to {MAX_POD_NAME} printable characters")
    unique = str(uuid.uuid4())
    row = tx.one(_INSERT_POD, uuid=unique, name=name, now=now)
    if row is None:
        raise AlreadyExists(f"There is a pod {name} already")
    return Pod(PodId(row[0]), unique, name, now)


def pods(rx: Rx) -> list[Pod]:
    """All pods by name."""
    return [_pod(row) for row in rx.all(_PODS)]


def pod_by_name(rx: Rx, name: str) -> Pod | None:
    row = rx.one(_POD_BY_NAME, name=name.strip()) if storable(name) else None
    return None if row is None else _pod(row)


def pod_by_uuid(rx: Rx, uuid: str) -> Pod | None:
    row = rx.one(_POD_BY_UUID, uuid=uuid) if storable(uuid) else None
    return None if row is None else _pod(row)


def pod_by_id(rx: Rx, pod_id: PodId) -> Pod | None:
    row = rx.one(_POD_BY_ID, pod=pod_id)
    return None if row is None else _pod(row)


def delete_pod(tx: Tx, pod_id: PodId) -> None:
    """CannotChange while inboxes (those in their grace period too) or domains are left; keys and lists go too."""
    if tx.one(_LOCK_POD, pod=pod_id) is None:
        raise NotFound("No such pod")
    counts = tx.one(_CONTENTS_OF_POD, pod=pod_id)
    if counts is not None and any(counts):
        raise CannotChange(f"The pod still has {counts[0]} inboxes and {counts[1]} domains: delete them first")
    webhooks.pod_gone(tx, pod_id)
    tx.run(_DELETE_POD_PASSKEYS, pod=pod_id)
    tx.run(_DELETE_POD_KEYS, pod=pod_id)
    tx.run(_DELETE_POD_LISTS, pod=pod_id)
    tx.run(_DELETE_POD_NOTES, pod=pod_id)
    tx.run(_DELETE_POD, pod=pod_id)


def create_domain(tx: Tx, pod_id: PodId, name: str, local: bool = True, *, now: int = 0) -> Domain:
    """A domain belongs to one pod: AlreadyExists when any has it. InvalidName, NotFound (the pod)."""
    name = canonical_domain(name)
    pod = pod_by_id(tx, pod_id)
    if pod is None:
        raise NotFound("No such pod")
    row = tx.one(_INSERT_DOMAIN, name=name, pod=pod_id, local=int(local), now=now)
    if row is None:
        raise AlreadyExists(f"There is a domain {name} already")
    return Domain(DomainId(row[0]), name, pod_id, pod.name, local, now)


def domains(rx: Rx) -> list[Domain]:
    """All domains by name."""
    return [_domain(row) for row in rx.all(_DOMAINS)]


def domain_by_name(rx: Rx, name: str) -> Domain | None:
    row = rx.one(_DOMAIN_BY_NAME, name=canonical_domain(name))
    return None if row is None else _domain(row)


def delete_domain(tx: Tx, name: str) -> None:
    """NotFound, or CannotChange while an inbox has an address in it."""
    found = domain_by_name(tx, name)
    if found is None:
        raise NotFound(f"There is no domain {name}")
    ending = "%@" + found.name.replace("!", "!!").replace("_", "!_").replace("%", "!%")
    used = tx.scalar(_DOMAIN_IN_USE, ending=ending)
    if used is not None:
        raise CannotChange(f"The domain is in use by {used}")
    tx.run(_DELETE_DOMAIN, domain=found.id)


def _pod(row: tuple[Any, ...]) -> Pod:
    return Pod(*row)


def _domain(row: tuple[Any, ...]) -> Domain:
    number, name, pod_id, pod_name, local, created_at = row
    return Domain(number, name, pod_id, pod_name, bool(local), created_at)

"""What accounts have granted: refresh and access tokens, sealed; who is refreshing; why none can be had.

Tokens change by compare-and-set on `version`. Who refreshes says so before (`claim`), so that one asks the provider and
the others wait for the row; a claim ends by itself, for its owner may be dead. Errors never delete a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model.errors import CannotChange, NotFound
from gateway.store.db import Rx, Tx
from gateway.store.sealing import Place
from gateway.store.statements import Stmt

ACTIVE: Final = "active"
REAUTH_REQUIRED: Final = "reauth_required"

_COLUMNS: Final = (
    "id, uuid, app_id, kind, account, subject, scopes, refresh_sealed, access_sealed, access_expires, refresh_at,"
    " version, status, last_error, last_error_at, failures, not_before, refresh_owner, refresh_until, created_at,"
    " updated_at"
)
_INSERT = Stmt(
    "INSERT INTO oauth_grant (uuid, app_id, kind, account, subject, scopes, refresh_sealed, access_sealed,"
    " access_expires, refresh_at, created_at, updated_at) VALUES (:uuid, :app, :kind, :account, :subject, :scopes,"
    " :refresh, :access, :expires, :refresh_at, :now, :now) RETURNING id"
)
_BY_ID = Stmt(f"SELECT {_COLUMNS} FROM oauth_grant WHERE id = :grant")
_OF_APP = Stmt(f"SELECT {_COLUMNS} FROM oauth_grant WHERE app_id = :app ORDER BY id")
_ALL = Stmt(f"SELECT {_COLUMNS} FROM oauth_grant ORDER BY id")
_RENEW = Stmt(
    "UPDATE oauth_grant SET app_id = :app, kind = :kind, account = :account, subject = :subject, scopes = :scopes,"
    " refresh_sealed = :refresh, access_sealed = :access, access_expires = :expires, refresh_at = :refresh_at,"
    " version = version + 1, status = 'active', last_error = NULL, last_error_at = NULL, failures = 0, not_before = 0,"
    " refresh_owner = NULL, refresh_until = NULL, updated_at = :now WHERE id = :grant"
)
_CLAIM = Stmt(
    "UPDATE oauth_grant SET refresh_owner = :owner, refresh_until = :until WHERE id = :grant AND version = :version"
    " AND (refresh_owner IS NULL OR refresh_until <= :now)"
)
_STORE = Stmt(
    "UPDATE oauth_grant SET refresh_sealed = coalesce(:refresh, refresh_sealed), access_sealed = :access,"
    " access_expires = :expires, refresh_at = :refresh_at, scopes = :scopes, version = version + 1, status = 'active',"
    " last_error = NULL, last_error_at = NULL, failures = 0, not_before = 0, refresh_owner = NULL,"
    " refresh_until = NULL, updated_at = :now WHERE id = :grant AND version = :version"
)
_FAIL = Stmt(
    "UPDATE oauth_grant SET status = :status, last_error = :error, last_error_at = :now, failures = failures + 1,"
    " not_before = :not_before, refresh_owner = NULL, refresh_until = NULL, updated_at = :now"
    " WHERE id = :grant AND version = :version AND refresh_owner = :owner"
)
_RELEASE = Stmt(
    "UPDATE oauth_grant SET refresh_owner = NULL, refresh_until = NULL"
    " WHERE id = :grant AND refresh_owner = :owner"
)
_EXPIRE = Stmt(
    "UPDATE oauth_grant SET access_expires = 0, refresh_at = 0, version = version + 1, refresh_owner = NULL,"
    " refresh_until = NULL, updated_at = :now WHERE id = :grant AND version = :version"
)
_RETRY = Stmt("UPDATE oauth_grant SET not_before = 0, updated_at = :now WHERE id = :grant")
_USED = Stmt("SELECT name FROM connector WHERE grant_id = :grant AND removed_at IS NULL")
_REMOVE = Stmt("DELETE FROM oauth_grant WHERE id = :grant")


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One grant. `kind`: refresh (somebody logged in), client_credentials, service_account. Times: Unix seconds.

    `access_expires` 0: the mail server refused the token; `refresh_at`: when a new one is due.
    """

    id: int
    uuid: str
    app_id: int
    kind: str
    account: str
    subject: str
    scopes: str
    refresh_sealed: bytes | None = field(repr=False)
    access_sealed: bytes | None = field(repr=False)
    access_expires: int | None
    refresh_at: int | None
    version: int
    status: str
    last_error: str | None
    last_error_at: int | None
    failures: int
    not_before: int
    refresh_owner: str | None
    refresh_until: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Sealed for the grant's uuid. `refresh` None: the one that there is stays."""

    refresh: bytes | None = field(repr=False)
    access: bytes | None = field(repr=False)
    expires: int | None
    refresh_at: int | None
    scopes: str


@dataclass(frozen=True, slots=True)
class Granted:
    """Who has granted what to which application."""

    app_id: int
    kind: str
    account: str
    subject: str


def refresh_place(uuid: str) -> Place:
    return Place("oauth_grant", uuid, "refresh_sealed")


def access_place(uuid: str) -> Place:
    return Place("oauth_grant", uuid, "access_sealed")


def create(tx: Tx, uuid: str, granted: Granted, tokens: Tokens, now: int) -> GrantRow:
    """A new grant; its application must exist."""
    return get(tx, tx.scalar(_INSERT, uuid=uuid, now=now, **_params(granted, tokens)))


def renew(tx: Tx, grant: int, granted: Granted, tokens: Tokens, now: int) -> GrantRow:
    """Somebody has logged in again: all is as if it were new, but whoever uses the grant goes on using it. NotFound."""
    if not tx.run(_RENEW, grant=grant, now=now, **_params(granted, tokens)):
        raise NotFound("No such OAuth grant")
    return get(tx, grant)


def get(rx: Rx, grant: int) -> GrantRow:
    """NotFound."""
    row = rx.one(_BY_ID, grant=grant)
    if row is None:
        raise NotFound("No such OAuth grant")
    return _grant(row)


def everything(rx: Rx, app: int | None = None) -> list[GrantRow]:
    """All, or those of an application, the oldest first."""
    return [_grant(row) for row in (rx.all(_ALL) if app is None else rx.all(_OF_APP, app=app))]


def claim(tx: Tx, grant: GrantRow, owner: str, now: float, until: int) -> bool:
    """Be the one who asks the provider, until `until` at most. False when somebody else is, or the tokens changed."""
    return tx.run(_CLAIM, grant=grant.id, version=grant.version, owner=owner, now=int(now), until=until) == 1


def store(tx: Tx, grant: GrantRow, tokens: Tokens, now: int) -> bool:
    """Keep what a refresh gave, and end the claim. False when the tokens are others than those that were refreshed."""
    return (
        tx.run(
            _STORE, grant=grant.id, version=grant.version, refresh=tokens.refresh, access=tokens.access,
            expires=tokens.expires, refresh_at=tokens.refresh_at, scopes=tokens.scopes, now=now,
        ) == 1
    )  # fmt: skip


def fail(tx: Tx, grant: GrantRow, owner: str, status: str, error: str, not_before: int, now: int) -> bool:
    """Note why a refresh came to nothing, and end the claim; tokens stay. False when it is not the owner's any more."""
    return (
        tx.run(
            _FAIL, grant=grant.id, version=grant.version, owner=owner, status=status, error=error,
            not_before=not_before, now=now,
        ) == 1
    )  # fmt: skip


def release(tx: Tx, grant: int, owner: str) -> None:
    """End a claim that came to nothing and says nothing of the grant."""
    tx.run(_RELEASE, grant=grant, owner=owner)


def expire_access(tx: Tx, grant: GrantRow, now: int) -> bool:
    """The access token does not work. False when there is another one already."""
    return tx.run(_EXPIRE, grant=grant.id, version=grant.version, now=now) == 1


def retry(tx: Tx, grant: int, now: int) -> None:
    """Whatever went wrong, the provider may be asked again at once. NotFound."""
    if not tx.run(_RETRY, grant=grant, now=now):
        raise NotFound("No such OAuth grant")


def remove(tx: Tx, grant: int) -> None:
    """CannotChange while a connector uses it, NotFound."""
    user = tx.scalar(_USED, grant=grant)
    if user is not None:
        raise CannotChange(f"The connector {user} uses this grant")
    if not tx.run(_REMOVE, grant=grant):
        raise NotFound("No such OAuth grant")


def _params(granted: Granted, tokens: Tokens) -> dict[str, Any]:
    return {
        "app": granted.app_id,
        "kind": granted.kind,
        "account": granted.account,
        "subject": granted.subject,
        "scopes": tokens.scopes,
        "refresh": tokens.refresh,
        "access": tokens.access,
        "expires": tokens.expires,
        "refresh_at": tokens.refresh_at,
    }


def _grant(row: tuple[Any, ...]) -> GrantRow:
    sealed = [None if value is None else bytes(value) for value in row[7:9]]
    return GrantRow(*row[:7], *sealed, *row[9:])

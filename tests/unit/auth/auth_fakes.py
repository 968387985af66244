"""Rows and a database for tests of logins: the store's own values, without a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.auth.keys import ApiKey, hash_secret
from gateway.auth.lookup import Credentials
from gateway.model.ids import InboxId, KeyId, ModSeq, PodId
from gateway.model.permissions import ALL_PERMISSIONS, Principal, ScopeKind
from gateway.store.db import Wake
from gateway.store.inboxes import Inbox, InboxSettings
from gateway.store.keys import KeyRow

KEY = ApiKey("Abcdef0123", "0123456789abcdefghijABCDEFGH")
OTHER = ApiKey("Abcdef0123", "HGFEDCBAjihgfedcba9876543210")
HASH = hash_secret(KEY.secret)
ADDRESS = "inbox@example.org"

INBOX = Inbox(
    id=InboxId(7), uuid="u", pod_id=PodId(3), address=ADDRESS, name=None, created_at=0, deleted_at=None,
    settings=InboxSettings(), messages=0, octets=0, modseq=ModSeq(1), epoch="e",
)
ROW = KeyRow(
    id=KeyId(5), uuid="k", key_id=KEY.key_id, hash=HASH, name="laptop", scope=ScopeKind.INBOX, pod_id=PodId(3),
    inbox_id=InboxId(7), permissions=ALL_PERMISSIONS, created_at=0, expires_at=None, revoked_at=None,
    last_used_at=None, parent=None, sent_copy=None,
)
PRINCIPAL = Principal(
    key_id=KeyId(5), key_name="laptop", scope=ScopeKind.INBOX, pod_id=PodId(3), inbox_id=InboxId(7),
    inbox_address=ADDRESS, permissions=ALL_PERMISSIONS, expires_at=None,
)


class FakeClock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeDatabase:
    """Runs reads and units at once, with `rx` for their transaction; counts reads; fails as told."""

    def __init__(self, rx: Any = None) -> None:
        self.rx = rx
        self.reads = 0
        self.units = 0
        self.failure: Exception | None = None
        self.listeners: list[Callable[[Wake], None]] = []

    async def tiny(self, query: Callable[[Any], Any]) -> Any:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return query(self.rx)

    read = tiny

    async def write(self, unit: Callable[[Any], Any], **_more: Any) -> Any:
        self.units += 1
        if self.failure is not None:
            raise self.failure
        return unit(self.rx)

    def subscribe(self, listener: Callable[[Wake], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


class Rows:
    """A lookup over one key and one inbox that tests change."""

    def __init__(self) -> None:
        self.key: KeyRow | None = ROW
        self.inbox: Inbox | None = INBOX

    def set_key(self, **changes: Any) -> None:
        assert self.key is not None
        self.key = replace(self.key, **changes)

    def __call__(self, _rx: Any, address: str, key_id: str) -> Credentials:
        return Credentials(
            self.inbox if address.lower() == ADDRESS else None,
            self.key if key_id == KEY.key_id else None,
        )

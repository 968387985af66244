"""Test mode's one difference to serving in earnest: an address that nobody has becomes an inbox when it is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container
from typing import Final, TypeVar

from gateway.auth.authenticator import Authenticator
from gateway.auth.lookup import Credentials
from gateway.model.errors import AlreadyExists, GatewayError, InvalidName
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal, ScopeKind
from gateway.model.ports import Clock
from gateway.store import inboxes, pods
from gateway.store.addresses import Local, Resolution, canonical_address
from gateway.store.db import Database, Tx
from gateway.submit.directory import Directory, View

T = TypeVar("T")

POD: Final = "default"


class AnyAddress:
    """Makes inboxes of whatever address is named."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def ensure(self, addresses: Collection[str]) -> bool:
        """Whether one was made. What is no address, or has a form that no inbox may have, is left alone."""
        now = int(self._clock())

        def unit(tx: Tx) -> bool:
            made = [_ensure(tx, address, now) for address in sorted(addresses)]
            return any(made)

        return await self._db.write(unit)


def _ensure(tx: Tx, address: str, now: int) -> bool:
    try:
        if inboxes.inbox_by_address(tx, address) is not None:
            return False
        domain = canonical_address(address).rpartition("@")[2]
        pod = pods.pod_by_name(tx, POD) or pods.create_pod(tx, POD, now=now)
        owner = pods.domain_by_name(tx, domain) or pods.create_domain(tx, pod.id, domain, now=now)
        inboxes.create_inbox(tx, owner.pod_id, address, now=now)
    except (InvalidName, AlreadyExists):
        return False
    return True


class AnyAuthenticator(Authenticator):
    """The first login to an address makes its inbox, where the key opens everything."""

    async def _read(self, user: str, key_id: str) -> Credentials:
        found = await super()._read(user, key_id)
        if found.inbox is None and found.key is not None and found.key.scope == ScopeKind.ALL:
            await AnyAddress(self._db, self._clock).ensure((user,))
            found = await super()._read(user, key_id)
        return found


class _Noting(View):
    """The same answers, and which addresses have no inbox of their own; `exact`: those that are known to have one."""

    def __init__(self, inner: View, missing: set[str], exact: Container[str]) -> None:
        super().__init__(inner._known, inner._rx)
        self._missing = missing
        self._exact = exact

    def owner(self, principal: Principal, address: str) -> InboxId | None:
        found = super().owner(principal, address)
        if found is None:
            self._missing.add(address)
        return found

    def recipient(self, address: str) -> Resolution:
        found = super().recipient(address)
        # What is found by less than the whole address (RFC 5233) is another one's: a test looks where it wrote to.
        if not isinstance(found, Local) or ("+" in address and address not in self._exact):
            self._missing.add(address)
        return found


class AnyDirectory(Directory):
    """Whoever is written to, or writes, has an inbox from then on."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._any = AnyAddress(db, time.time)
        self._exact: set[str] = set()

    async def ask(self, query: Callable[[View], T], *, inboxes: int = 1) -> T:
        missing: set[str] = set()
        answer: T | GatewayError
        try:
            answer = await super().ask(lambda view: query(_Noting(view, missing, self._exact)), inboxes=inboxes)
        except GatewayError as error:
            answer = error
        made = bool(missing) and await self._any.ensure(missing)
        self._exact.update(missing)
        if made:
            self.forget()
            return await super().ask(query, inboxes=inboxes)
        if isinstance(answer, GatewayError):
            raise answer
        return answer

"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208): an inbox is one quota root, whose name is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model.permissions import Principal, ScopeKind
from gateway.store import quota
from gateway.store.db import Tx
from gateway.store.quota import Limits, Usage
from gateway.wire import commands as c

from .mailbox_names import encoded
from .replies import Reply, no, ok

if TYPE_CHECKING:
    from .session import Session

ROOT: Final = b'""'
UNIT: Final = 1024  # octets of one STORAGE (RFC 9208 5.1)
NEAR: Final = b"* NO [OVERQUOTA] The inbox is nearly full\r\n"
"""RFC 9208 4.3.1: told while a command adds messages, which it may."""
_ADMINISTERS: Final = "inbox_update"
_MOST: Final = 2**63 - 1
_NO_ROOT: Final = no("There is no such quota root", b"NONEXISTENT")
_UNKNOWN: Final = no("The resources here are STORAGE, MESSAGE and MAILBOX", b"CANNOT")
_NOT_ALLOWED: Final = no("Only an administrator's key may set quotas", b"NOPERM")


async def getquota(session: Session, command: c.GetQuota) -> Reply:
    """RFC 9208 4.1.1."""
    if command.root:
        return _NO_ROOT
    await _tell(session)
    return ok("GETQUOTA completed")


async def getquotaroot(session: Session, command: c.GetQuotaRoot) -> Reply:
    """RFC 9208 4.1.2; the mailbox need not exist."""
    session.channel.send(b"* QUOTAROOT %b %b\r\n" % (encoded(session, command.mailbox), ROOT))
    await _tell(session)
    return ok("GETQUOTAROOT completed")


async def setquota(session: Session, command: c.SetQuota) -> Reply:
    """RFC 9208 4.1.3: what is not named is no longer limited. An inbox's own key may not lift its limits."""
    principal = session.require_principal()
    if not may_set(principal):
        return _NOT_ALLOWED
    if command.root:
        return _NO_ROOT
    limits = dict(command.limits)
    if not limits.keys() <= {"STORAGE", "MESSAGE", "MAILBOX"}:
        return _UNKNOWN
    octets = limits.get("STORAGE")
    if octets is not None:
        octets = min(octets, _MOST // UNIT) * UNIT
    wanted = Limits(octets, limits.get("MESSAGE"), limits.get("MAILBOX"))

    def unit(tx: Tx) -> None:
        quota.set_limits(tx, principal.inbox_id, wanted)

    await session.services.db.write(unit, inboxes=(principal.inbox_id,))
    await _tell(session)
    return ok("SETQUOTA completed")


def may_set(principal: Principal) -> bool:
    """Whether the key belongs to an administrator: of the pod or of everything, and it may change inboxes."""
    return principal.scope is not ScopeKind.INBOX and _ADMINISTERS in principal.permissions


async def _tell(session: Session) -> None:
    inbox_id = session.require_principal().inbox_id
    usage = await session.services.db.tiny(lambda rx: quota.usage(rx, inbox_id))
    session.channel.send(b"* QUOTA %b (%b)\r\n" % (ROOT, _resources(usage)))


def _resources(usage: Usage) -> bytes:
    """RFC 9208 4.2.1: only what is limited. STORAGE in units of 1,024 octets, of which a begun one is used."""
    limits = usage.limits
    octets = None if limits.octets is None else limits.octets // UNIT
    triplets = (
        (b"STORAGE", -(-usage.octets // UNIT), octets),
        (b"MESSAGE", usage.messages, limits.messages),
        (b"MAILBOX", usage.mailboxes, limits.mailboxes),
    )
    return b" ".join(b"%b %d %d" % (name, used, limit) for name, used, limit in triplets if limit is not None)

"""What the protocol needs of others: logins, the registry of live sessions, and acceptance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from gateway.auth.exchange import Authenticator
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.submit.envelope import Accepted, SubmissionEnvelope
from gateway.submit.intake import Delivered, IntakeEnvelope

from .settings import SmtpSettings

Kept = TypeVar("Kept", covariant=True)


class SessionHandle(Protocol):
    def close(self) -> None: ...


class LiveSessions(Protocol):
    def add(self, principal: Principal, end: Callable[[str], None], /) -> SessionHandle:
        """`end(reason)` is called on the loop when the key is revoked or expires, or its inbox goes.

        LimitReached: the inbox has too many sessions.
        """
        ...


class Gate(Protocol):
    """Counts the connections of a source address, those of the process's other protocols too."""

    def open(self, peer: str, /) -> None:
        """LimitReached: it has too many, and this one is not counted."""
        ...

    def close(self, peer: str, /) -> None: ...


class Acceptance(Protocol[Kept]):
    """One message on its way in."""

    async def write(self, chunk: bytes) -> None:
        """GatewayError: the message is refused; nothing more need be written."""
        ...

    async def finish(self) -> Kept:
        """Durable when it returns; cancelling the caller never leaves half a commit."""
        ...

    def abort(self) -> None:
        """Drops what was kept of it, in the background; after `finish` it has no meaning."""
        ...


class Acceptor(Protocol):
    """The gateway's decisions about a submission, step by step. Each raises GatewayErrors."""

    async def check_sender(self, principal: Principal, reverse_path: str) -> None: ...

    async def check_recipient(self, principal: Principal, reverse_path: str, address: str) -> None: ...

    def begin(self, envelope: SubmissionEnvelope) -> Acceptance[Accepted]: ...


class IntakeAcceptor(Protocol):
    """The same for mail that a server in front hands on."""

    async def check_recipient(self, address: str) -> None: ...

    def begin(self, envelope: IntakeEnvelope) -> Acceptance[Delivered]: ...


class Urls(Protocol):
    """What signed URLs name (RFC 4467), for BURL."""

    def read(self, url: bytes, inbox: InboxId, /) -> AsyncIterator[bytes]:
        """The octets, in pieces. UrlRefused, UrlElsewhere, UrlUnavailable: `inbox` may not submit them."""
        ...


@dataclass(frozen=True, slots=True)
class SubmissionServices:
    """All that a session reaches; shared by all listeners of a process."""

    acceptor: Acceptor
    authenticator: Authenticator
    sessions: LiveSessions
    clock: Clock
    settings: SmtpSettings = field(default_factory=SmtpSettings)
    metrics: Metrics = NULL_METRICS
    gate: Gate | None = None
    urls: Urls | None = None
    intake: IntakeAcceptor | None = None
    """None: no listener speaks LMTP."""

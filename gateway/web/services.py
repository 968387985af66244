"""What the HTTP side needs of the rest; `app` fills it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from gateway.access.audit import AuditLog
from gateway.access.digest import Digests
from gateway.auth.authenticator import Authenticator
from gateway.ingest.writer import Ingest
from gateway.model.ports import NULL_METRICS, Clock, Freshness, Metrics
from gateway.store.db import Database
from gateway.store.trigrams import Trigrams
from gateway.store.vault import Vault
from gateway.submit.accept import Submissions
from gateway.submit.drafting import Drafting

from .listening import Listening
from .passkeys import Passkeys
from .people import People
from .setup.ports import ClientSetup

if TYPE_CHECKING:
    from .samples import Sample

Json = Any


class Gate(Protocol):
    """How many connections a source may have."""

    def open(self, peer: str, /) -> None:
        """LimitReached."""

    def close(self, peer: str, /) -> None: ...


class Stream(Protocol):
    """What an operation reads beyond its parameters, and tells before its result: objects and octets."""

    async def receive(self) -> dict[str, Json] | bytes | None:
        """None at the end."""

    async def send(self, frame: dict[str, Json] | bytes) -> None:
        """Waits while whoever reads is slow."""


class Operate(Protocol):
    """`control.operations`: what an administrator can do, by name. Who may is asked before it is called."""

    def __call__(self, name: str, params: Mapping[str, Json], stream: Stream | None = None, /) -> Awaitable[Json]:
        """GatewayError as the operation raises it; InvalidRequest for parameters that it does not know.

        `stream`: for what tells more than its result, or reads more than its parameters.
        """


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`base_url`: how people and programs reach this server, without a slash at its end.

    Times in seconds, sizes in octets. `requests_per_second`, `request_burst`: of one key; what is more is 429.
    `private_accounts`: connectors of MailSlurp's API may lead into private networks, where the key opens everything.
    """

    base_url: str = "https://localhost:8443"
    hostname: str = "localhost"
    max_message_size: int = 10_485_760
    max_body: int = 32 << 20
    handshake_timeout: float = 10.0
    head_timeout: float = 30.0
    keep_alive: float = 75.0
    write_timeout: float = 60.0
    requests_per_second: float = 100.0
    request_burst: float = 500.0
    private_accounts: bool = False

    @property
    def has_name(self) -> bool:
        """A host of its own: browsers may be told to come with TLS only. On localhost that would hit other programs."""
        host = urlsplit(self.base_url).hostname or ""
        return "." in host and not host.endswith(".localhost") and not host.replace(".", "").isdigit()


async def _no_findings() -> list[Json]:
    return []


@dataclass(frozen=True, slots=True)
class WebServices:
    db: Database
    ingest: Ingest
    authenticator: Authenticator
    submissions: Submissions
    drafting: Drafting
    operate: Operate
    clock: Clock
    people: People
    passkeys: Passkeys
    listening: Listening
    vault: Vault
    settings: WebSettings = field(default_factory=WebSettings)
    setup: ClientSetup = field(default_factory=ClientSetup)
    metrics: Metrics = NULL_METRICS
    digests: Digests = field(default_factory=Digests)
    gate: Gate | None = None
    audit: AuditLog | None = None
    """Takes down who changes what."""
    client_settings: Callable[[str], Json] = lambda address: {"address": address, "ports": [], "ca_file": None}
    """What a mail program needs for the inbox of an address."""
    findings: Callable[[], Awaitable[list[Json]]] = _no_findings
    """What doctor finds: area, level, text, remedy."""
    samples: Callable[[], Sequence[Sample]] = tuple
    """How the server was, minute by minute."""
    trigrams: Trigrams | None = None
    """Who keeps the index of texts, if there is one."""
    freshness: Freshness | None = None
    """Whom readers of mail from elsewhere may wait for."""

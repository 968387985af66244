"""How a connection that goes out is encrypted. Certificates and names are always verified; a CA may be pinned."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.model.errors import ConfigError


class Security(StrEnum):
    """RFC 8314: `tls` from the first octet, `starttls` required (never opportunistic), `none` in the clear."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """`ca_file`: PEM; when given, only these CAs are trusted, not the system's. `min_version`: "1.2" or "1.3"."""

    security: Security = Security.TLS
    ca_file: Path | None = None
    min_version: str = "1.2"

    def context(self) -> ssl.SSLContext:
        """A client context. ConfigError names a CA file that cannot be read."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError):
            raise ConfigError(f"The CA file {self.ca_file} cannot be read as PEM certificates") from None
        context.minimum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[self.min_version]
        return context


class ClientContexts:
    """Contexts by policy: reading the system's CAs takes tens of milliseconds, so once and in a thread."""

    def __init__(self) -> None:
        self._made: dict[tuple[TlsPolicy, int], ssl.SSLContext] = {}

    async def get(self, policy: TlsPolicy) -> ssl.SSLContext:
        """The policy's context; a new one when its CA file has changed. ConfigError as `TlsPolicy.context`."""
        try:
            changed = policy.ca_file.stat().st_mtime_ns if policy.ca_file is not None else 0
        except OSError:
            changed = 0  # reading it will say what is wrong
        found = self._made.get((policy, changed))
        if found is None:
            found = await asyncio.to_thread(policy.context)
            self._made = {key: value for key, value in self._made.items() if key[0] != policy}
            self._made[policy, changed] = found
        return found

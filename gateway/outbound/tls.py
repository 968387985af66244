"""How a connection that goes out is encrypted, as settings, and the contexts that they make.

Certificates and names are always verified, unless a pin stands in their place. What a finished handshake has to show
beside (pins), and what a failed one means, is in `tls_peer`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from gateway.model.errors import ConfigError

VERSIONS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
DEFAULT_DH_BITS: Final = 2048
MOST_CONTEXTS: Final = 256
"""Contexts kept: each may hold all CAs of the system, half a megabyte."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_PIN: Final = re.compile("[0-9a-f]{64}")
_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
_NOT: Final = "!aNULL:!eNULL:!aDSS:!AESCCM"


class Security(StrEnum):
    """RFC 8314: `tls` from the first octet, `starttls` required (never opportunistic), `none` in the clear."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """`ca_file`: PEM; when given, only these certificates are trusted, not the system's; so with `ca_pem`, the text.

    `min_version`, `max_version`: "1.0" to "1.3"; what is below 1.2 has to be asked for. `min_dh_bits`: the smallest
    finite-field Diffie-Hellman group (see `_ciphers`). `pins`: SHA-256 in hexadecimal of certificates or of public keys
    (SubjectPublicKeyInfo), one of which the server must show, in addition to all else; with `pin_only` instead of
    CA, date and name. `server_name`: what the certificate must be for, where that is not the host.
    """

    security: Security = Security.TLS
    ca_file: Path | None = None
    min_version: str = "1.2"
    max_version: str = "1.3"
    min_dh_bits: int = DEFAULT_DH_BITS
    ca_pem: str | None = None
    pins: tuple[str, ...] = ()
    pin_only: bool = False
    server_name: str | None = None

    def __post_init__(self) -> None:
        """ConfigError for what contradicts itself."""
        if self.min_version not in VERSIONS or self.max_version not in VERSIONS:
            raise ConfigError(f"A TLS version is one of {', '.join(VERSIONS)}")
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            raise ConfigError(f"The lowest TLS version ({self.min_version}) is above the highest ({self.max_version})")
        if not all(_PIN.fullmatch(pin) for pin in self.pins):
            raise ConfigError("A pin is a SHA-256 of 64 hexadecimal digits in lower case")
        if self.pin_only and not self.pins:
            raise ConfigError("A pin can only stand in place of the CA where there is one")

    def name_for(self, host: str) -> str:
        """What the certificate must be for, and what SNI says."""
        return self.server_name or host

    def context(self) -> ssl.SSLContext:
        """A client context. ConfigError names a CA file that cannot be read."""
        try:
            context = ssl.create_default_context(
                cafile=str(self.ca_file) if self.ca_file else None, cadata=self.ca_pem or None
            )
        except (OSError, ssl.SSLError, ValueError, TypeError):  # the last one: text that is not ASCII
            what = f"The CA file {self.ca_file}" if self.ca_file else "The CA"
            raise ConfigError(f"{what} cannot be read as PEM certificates") from None
        if self.ca_file or self.ca_pem:  # so that an intermediate CA or the server's own certificate may be given too
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.pin_only:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        ciphers = self._ciphers()
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if self.min_dh_bits > DEFAULT_DH_BITS:
            # TLS 1.3 knows groups ffdhe2048 and up, and has no ciphers to leave them out by. The one curve that all of
            # its servers must know (RFC 8446 9.1) takes their place.
            context.set_ecdh_curve("prime256v1")
        context.minimum_version = VERSIONS[self.min_version]
        context.maximum_version = VERSIONS[self.max_version]
        return context

    def _ciphers(self) -> str | None:
        """OpenSSL's list; None: its default, which is level 2.

        Python shows no key of a finished exchange, so it is OpenSSL's security level that refuses small groups, within
        the handshake (SSL_CTX_set_security_level(3)): level 2 those below 2048 bits, level 1 those below 1024. What
        lies between is rounded up. Higher levels would refuse RSA certificates of 2048 bits, which most servers have:
        beyond 2048 there is no finite-field exchange at all. Neither is there below TLS 1.2, which takes level 0 (its
        signatures are SHA-1's), where OpenSSL accepts any group.
        """
        if VERSIONS[self.min_version] < ssl.TLSVersion.TLSv1_2:
            return f"@SECLEVEL=0:{_SUITES}:RSA+AESGCM:RSA+AES:{_NOT}"
        if self.min_dh_bits > DEFAULT_DH_BITS:
            return f"@SECLEVEL=2:{_SUITES}:!SHA1:{_NOT}"
        if self.min_dh_bits <= 1024:
            return f"@SECLEVEL=1:{_SUITES}:DHE+AESGCM:DHE+CHACHA20:DHE+AES:!SHA1:{_NOT}"
        return None


def certificates(text: str) -> str:
    """The certificates of a text in PEM; "" for none that OpenSSL can read.

    What else is in it, a private key at worst, is neither kept nor shown.
    """
    found = "".join(f"{block}\n" for block in _CERTIFICATE.findall(text))
    try:
        if found:
            ssl.create_default_context(cadata=found)
    except (ssl.SSLError, ValueError):
        return ""
    return found


class ClientContexts:
    """Contexts by policy: reading the system's CAs takes tens of milliseconds, so once and in a thread."""

    def __init__(self) -> None:
        self._made: dict[TlsPolicy, tuple[int, ssl.SSLContext]] = {}

    async def get(self, policy: TlsPolicy) -> ssl.SSLContext:
        """The policy's context; a new one when its CA file has changed. ConfigError as `TlsPolicy.context`.

        Policies that differ in nothing that a context knows share theirs.
        """
        pins = ("0" * 64,) if policy.pin_only else ()
        key = replace(policy, security=Security.TLS, pins=pins, server_name=None)
        try:
            changed = policy.ca_file.stat().st_mtime_ns if policy.ca_file is not None else 0
        except OSError:
            changed = 0  # reading it will say what is wrong
        found = self._made.pop(key, None)
        if found is None or found[0] != changed:
            found = (changed, await asyncio.to_thread(key.context))
        self._made[key] = found  # to the end: the first one is the longest unused
        while len(self._made) > MOST_CONTEXTS:
            self._made.pop(next(iter(self._made)))
        return found[1]


contexts: Final = ClientContexts()
"""Those of the process."""

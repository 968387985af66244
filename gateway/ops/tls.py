"""TLS contexts for both kinds of transports, from the same files, always current.

Twisted's transports use pyOpenSSL (26 KB a connection), asyncio's use the standard library's `ssl`. Both are rebuilt
when the certificate changes, and daily: TLS tickets are encrypted under keys that live as long as their context, and
pyOpenSSL has no way to change them.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer  # type: ignore[import-untyped]

from gateway.config import ConfigError

log = structlog.get_logger(__name__)

REBUILD: Final = 86400.0  # seconds a context and its ticket keys live
POLL: Final = 30.0  # seconds between looks at the files
MODERN: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK"
# TLS 1.0 and 1.1 have neither AEAD suites nor, in OpenSSL 3 and later, any allowed signature above level 0.
LEGACY: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AES:!aNULL:!eNULL:!PSK:@SECLEVEL=0"

_STDLIB_VERSION: Final = {
    "1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_OPENSSL_VERSION: Final = {
    "1.0": SSL.TLS1_VERSION, "1.1": SSL.TLS1_1_VERSION, "1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION,
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: certificate with its chain, and key; both may be one file."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What a listener accepts: lowest version, and a cipher list for TLS 1.2 and older ("": the default for it)."""

    minimum_version: str = "1.2"
    ciphers: str = ""

    @property
    def cipher_list(self) -> str:
        if self.ciphers:
            return self.ciphers
        return LEGACY if self.minimum_version in {"1.0", "1.1"} else MODERN


def stdlib_context(files: TlsFiles, policy: TlsPolicy) -> ssl.SSLContext:
    """A server context of the standard library. ConfigError says what is wrong with files or policy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Ciphers first: a lower security level must be in force before the version and an old certificate are set.
        context.set_ciphers(policy.cipher_list)
    except ssl.SSLError:
        raise ConfigError(f"tls.ciphers: {policy.cipher_list!r} selects no cipher") from None
    with warnings.catch_warnings():
        # Python deprecates what legacy devices speak; an operator who sets it here means it.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _STDLIB_VERSION[policy.minimum_version]
    # No tickets: the context that was handed out stays (`TlsContexts`), and so would the keys of its tickets.
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
        | ssl.OP_NO_TICKET
    )
    context.num_tickets = 0
    try:
        # An empty pass phrase, so that OpenSSL never asks for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except FileNotFoundError:
        missing = files.certificate if not files.certificate.exists() else files.key
        raise ConfigError(f"{missing}: there is no such file") from None
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{files.certificate}: {_reason(error, files)} (key file {files.key})") from None
    return context


def _reason(error: OSError, files: TlsFiles) -> str:
    """What OpenSSL has against a certificate or key, for a person."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or "cannot be read"
    if b"ENCRYPTED" in files.key.read_bytes():
        return "the key has a pass phrase; store it without one"
    word = error.reason or "holds no PEM certificate or key"
    known = {
        "KEY_VALUES_MISMATCH": "certificate and key do not belong together",
        "EE_KEY_TOO_SMALL": "the key is too small for the security level",
        "CA_MD_TOO_WEAK": "the certificate's signature is too weak for the security level",
    }
    return known.get(str(word), str(word).replace("_", " ").lower())


def openssl_context(files: TlsFiles, policy: TlsPolicy) -> SSL.Context:
    """A server context of pyOpenSSL, for Twisted. ConfigError says what is wrong with files or policy."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_cipher_list(policy.cipher_list.encode())
    except SSL.Error:
        raise ConfigError(f"tls.ciphers: {policy.cipher_list!r} selects no cipher") from None
    context.set_min_proto_version(_OPENSSL_VERSION[policy.minimum_version])
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_SINGLE_ECDH_USE
    )
    # Idle connections give their record buffers back; no server-side session cache (tickets hold the state).
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"gateway")
    try:
        context.use_certificate_chain_file(str(files.certificate))
        context.use_privatekey_file(str(files.key))
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigError(f"{files.certificate}: OpenSSL cannot use it with key {files.key}: {_texts(error)}") from None
    return context


def _texts(error: SSL.Error) -> str:
    """The reasons in OpenSSL's error queue."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(item[-1]) for item in queue) or "no reason given"


@implementer(IOpenSSLServerConnectionCreator)
class TwistedContext:
    """What `listenSSL` and `startTLS` take as context factory: each connection gets the context in force."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """A connection over memory, for Twisted to carry."""
        return SSL.Connection(self.context, None)


@dataclass(slots=True)
class _Kept:
    """The long-lived objects of one policy; what they lead to is replaced."""

    twisted: TwistedContext
    front: ssl.SSLContext
    current: ssl.SSLContext = field(repr=False)

    def choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake after the client's hello, with or without a server name in it."""
        connection.context = self.current


class TlsContexts:
    """All contexts of a process. `twisted` and `stdlib` are handed out once and stay current by themselves.

    A change on disk that cannot be used is logged, and the old certificate goes on serving.
    """

    def __init__(self, files: TlsFiles, clock: Callable[[], float]) -> None:
        self.files = files
        self._clock = clock
        self._kept: dict[TlsPolicy, _Kept] = {}
        self._seen = self._stamp(files)
        self._built = clock()

    @staticmethod
    def _stamp(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
        stamps: list[tuple[int, int, int] | None] = []
        for path in (files.certificate, files.key):
            try:
                status = path.stat()
            except OSError:
                stamps.append(None)
            else:
                stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(stamps)

    def _keep(self, policy: TlsPolicy) -> _Kept:
        if policy not in self._kept:
            # The standard library's errors name the trouble best, so it goes first.
            front, current = stdlib_context(self.files, policy), stdlib_context(self.files, policy)
            kept = _Kept(TwistedContext(openssl_context(self.files, policy)), front, current)
            front.sni_callback = kept.choose
            self._kept[policy] = kept
        return self._kept[policy]

    def twisted(self, policy: TlsPolicy | None = None) -> TwistedContext:
        """For Twisted's `listenSSL` and `startTLS`. ConfigError when the files cannot be used."""
        return self._keep(policy or TlsPolicy()).twisted

    def stdlib(self, policy: TlsPolicy | None = None) -> ssl.SSLContext:
        """For asyncio's `create_server(ssl=…)` and `start_tls`. ConfigError when the files cannot be used."""
        return self._keep(policy or TlsPolicy()).front

    def reload(self, files: TlsFiles | None = None) -> None:
        """Load the files again (or others) for new connections. ConfigError: nothing has changed."""
        files = files or self.files
        stamp = self._stamp(files)
        fresh = {policy: (stdlib_context(files, policy), openssl_context(files, policy)) for policy in self._kept}
        for policy, (current, context) in fresh.items():
            self._kept[policy].current = current
            self._kept[policy].twisted.context = context
        self.files, self._seen, self._built = files, stamp, self._clock()

    def check(self) -> bool:
        """Reload when a file has changed or a day has passed; whether a reload took place."""
        stamp, now = self._stamp(self.files), self._clock()
        changed = stamp != self._seen
        if not changed and now - self._built < REBUILD:
            return False
        try:
            self.reload()
        except ConfigError as error:
            # Say so once a change, and go on with what we have; a daily rebuild is tried again a day later.
            self._seen, self._built = stamp, now
            log.error("tls.reload_failed", error=str(error), remedy="the old certificate goes on serving")
            return False
        if changed:
            log.info("tls.reloaded", certificate=str(self.files.certificate))
        return True

    async def watch(self, interval: float = POLL) -> None:
        """Check for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(interval)
            self.check()

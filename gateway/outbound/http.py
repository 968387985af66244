"""HTTP for what we ask and tell others ourselves (OAuth endpoints, webhooks): short bodies, connections that we dial.

aiohttp speaks HTTP; the connection under it is `dial`'s, so that the deny table holds for the address that is dialled,
and TLS is `ClientContexts`'. Nothing is taken from the environment, no redirect is followed, no cookie kept, nothing
decompressed, no connection used twice (a lost one would leave open whether a form was taken), and one deadline covers
all of it. aiohttp is imported at the first request: most gateways never make one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from gateway.model.errors import InvalidRequest

from .dial import Resolver, dial, system_resolver
from .errors import OutboundError
from .failure import Failure
from .proxy import Proxy
from .tls import ClientContexts, TlsPolicy
from .tls_peer import check_peer, explained, tls_object

if TYPE_CHECKING:
    import socket

    from aiohttp import ClientSession

MAX_ANSWER: Final = 256 * 1024
MAX_URL: Final = 8 * 1024
_HEADERS: Final = 32 * 1024  # of one header line; aiohttp refuses longer ones while they come


class HttpFailed(OutboundError):
    """No whole answer. `sent`: the request may have been read; else it certainly was not."""

    def __init__(self, failure: Failure, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.failure = failure
        self.sent = sent


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Whatever the status is. `headers` in small letters, the first of each. The body may hold secrets."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`patience`: seconds for the name look-up and each address; `total`: for all of a request.

    `cut`: an answer that is too long is cut, and nothing more of it read; else it is a failure.
    """

    allow_private: bool = False
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    proxy: Proxy | None = None
    patience: float = 10.0
    total: float = 30.0
    max_answer: int = MAX_ANSWER
    cut: bool = False
    agent: str = "mail-gateway"


@dataclass(frozen=True, slots=True)
class Reach:
    """What one server may that others may not: stand in a private network, have a certificate of a CA of its own.

    `ca_pem`: only these are trusted; None: whom the client trusts.
    """

    allow_private: bool = False
    ca_pem: str | None = None


PUBLIC: Final = Reach()


class Dialler(Protocol):
    """How a connection is made: `dial`, but in tests."""

    async def __call__(
        self,
        host: str,
        port: int,
        *,
        allow_private: bool,
        patience: float,
        resolver: Resolver,
        proxy: Proxy | None,
    ) -> socket.socket: ...


class Http(Protocol):
    """What callers need of a client; tests have others."""

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> HttpAnswer: ...

    async def post_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None, reach: Reach = PUBLIC
    ) -> HttpAnswer: ...


class HttpClient:
    """One a process; `close` it. Any number of tasks may ask at once."""

    def __init__(
        self,
        contexts: ClientContexts,
        settings: HttpSettings | None = None,
        *,
        resolver: Resolver = system_resolver,
        dialler: Dialler = dial,
    ) -> None:
        self._contexts = contexts
        self._settings = settings or HttpSettings()
        self._resolver = resolver
        self._dialler = dialler
        self._session: ClientSession | None = None

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """HttpFailed, InvalidRequest for a URL that is not https."""
        return await self._request("GET", url, None, headers)

    async def post_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None, reach: Reach = PUBLIC
    ) -> HttpAnswer:
        """`form` as application/x-www-form-urlencoded. HttpFailed, InvalidRequest for a URL that is not https."""
        return await self._request("POST", url, form, headers, reach)

    async def post(self, url: str, octets: bytes, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """`octets` as they are. HttpFailed, InvalidRequest for a URL that is not https."""
        return await self._request("POST", url, octets, headers)

    async def close(self) -> None:
        """End requests that are under way."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | bytes | None,
        headers: Mapping[str, str] | None,
        reach: Reach = PUBLIC,
    ) -> HttpAnswer:
        host = usable_url(url).hostname or ""
        settings = self._settings
        tls = settings.tls if reach.ca_pem is None else replace(settings.tls, ca_file=None, ca_pem=reach.ca_pem)
        stage = _Stage(tls, settings.allow_private or reach.allow_private)
        token = _STAGE.set(stage)
        try:
            async with asyncio.timeout(self._settings.total):
                context = await self._contexts.get(tls)
                return await self._ask(method, url, form, headers or {}, context)
        except TimeoutError:
            what = "has not answered in time" if stage.connected else "could not be reached in time"
            raise HttpFailed(Failure.TIMEOUT, f"{host} {what}", sent=stage.connected) from None
        finally:
            _STAGE.reset(token)

    async def _ask(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | bytes | None,
        headers: Mapping[str, str],
        context: ssl.SSLContext,
    ) -> HttpAnswer:
        import aiohttp

        session = self._session
        if session is None:
            session = self._session = self._make_session()
        try:
            async with session.request(
                method,
                url,
                data=form if form is None or isinstance(form, bytes) else dict(form),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                allow_redirects=False,
                ssl=context,
            ) as answer:
                body = await self._body(answer)
                found: dict[str, str] = {}
                for name, value in answer.headers.items():
                    found.setdefault(name.lower(), value)
                return HttpAnswer(answer.status, found, body)
        except aiohttp.ClientPayloadError:
            raise HttpFailed(Failure.LOST, f"{_host(url)}: the answer broke off", sent=True) from None
        except (aiohttp.ServerConnectionError, aiohttp.ClientOSError):
            raise HttpFailed(Failure.LOST, f"The connection to {_host(url)} was lost", sent=True) from None
        except (aiohttp.ClientError, ValueError):
            raise HttpFailed(Failure.PROTOCOL, f"{_host(url)} answered no HTTP", sent=True) from None

    async def _connect(self, factory: Any, host: str, port: int, context: ssl.SSLContext) -> Any:
        """aiohttp's protocol on a connection of ours. HttpFailed: aiohttp hides what others say."""
        settings, stage = self._settings, _STAGE.get()
        try:
            sock = await self._dialler(
                host, port, allow_private=stage.allow_private, patience=settings.patience,
                resolver=self._resolver, proxy=settings.proxy,
            )  # fmt: skip
        except OutboundError as error:
            raise HttpFailed(error.failure, str(error), sent=False) from None
        policy = stage.tls
        transport: asyncio.Transport | None = None
        try:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                factory, sock=sock, ssl=context, server_hostname=policy.name_for(host)
            )
            check_peer(policy, tls_object(transport), host)
        except BaseException as error:
            sock.close() if transport is None else transport.abort()
            failed = explained(error, policy, host)
            if failed is not None:
                raise HttpFailed(failed.failure, str(failed), sent=False) from None
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise HttpFailed(Failure.LOST, f"The connection to {host} was lost", sent=False) from None
            raise
        stage.connected = True
        return protocol

    async def _body(self, answer: Any) -> bytes:
        encoding = answer.headers.get("Content-Encoding", "identity").lower()
        if encoding not in {"", "identity"} and not self._settings.cut:
            raise HttpFailed(Failure.PROTOCOL, f"{answer.url.host} answered in an encoding nobody asked for", sent=True)
        most = self._settings.max_answer
        octets = bytearray()
        async for piece in answer.content.iter_any():
            octets += piece
            if len(octets) > most:
                answer.close()
                if self._settings.cut:
                    return bytes(octets[:most])
                raise HttpFailed(Failure.PROTOCOL, f"{answer.url.host} answered more than {most} octets", sent=True)
        return bytes(octets)

    def _make_session(self) -> ClientSession:
        import aiohttp

        from .http_connector import DialledConnector

        return aiohttp.ClientSession(
            connector=DialledConnector(self._connect),
            timeout=aiohttp.ClientTimeout(total=None),  # ours covers the connection's making too
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._settings.agent},
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADERS,
            max_field_size=_HEADERS,
            read_bufsize=64 * 1024,
        )


class _Stage:
    """Of one request: how its connection is made, and whether anything can have been sent."""

    __slots__ = ("allow_private", "connected", "tls")

    def __init__(self, tls: TlsPolicy, allow_private: bool) -> None:
        self.tls = tls
        self.allow_private = allow_private
        self.connected = False


_STAGE: Final[ContextVar[_Stage]] = ContextVar("stage")


def usable_url(url: str) -> SplitResult:
    """Its parts. InvalidRequest unless it is https with a host, without a user, and in printable ASCII."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest("This is no URL") from None
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise InvalidRequest("A URL that is asked must begin with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("A URL that is asked must not hold a user name")
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest("A URL that is asked must be in printable ASCII")
    return parts


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""

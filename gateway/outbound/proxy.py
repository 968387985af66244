"""Proxies that a connection goes through: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT (RFC 9110 9.3.6). Pure.

A negotiation says how many octets may be read next and takes exactly those: what follows the proxy's last octet is the
server's, and may come in the same packet.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from gateway.model.errors import ConfigError

from .errors import ConnectFailed, ProxyFailed
from .failure import Failure

MAX_HEADER: Final = 8_192  # octets of an HTTP proxy's answer, with all interim ones

_CONTROLS: Final = re.compile(r"[\x00-\x20\x7f]")
_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_END: Final = (b"\r\n\r\n", b"\n\n")
_UNSAFE: Final = re.compile(r"[^\x20-\x7e]+")
_REFUSED: Final = {3: "the network cannot be reached", 4: "the host cannot be reached", 5: "the connection was refused"}
_OTHER_ADDRESS: Final = {1: "general failure", 8: "address type not known"}  # as those without IPv6 say
_NOT_SERVED: Final = {2: "not allowed by its rules", 7: "it does not know CONNECT"}
_NOT_REACHED: Final = frozenset({502, 503, 504})


class ProxyKind(StrEnum):
    SOCKS5 = "socks5"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `user` "" is without a login, which goes to the proxy in the clear.

    `remote_names`: the proxy resolves the server's name. We do it else, for only an address that we have looked at
    ourselves is surely none of a private network; but where names are only known behind the proxy it has to. Its own
    address may be private with `allow_private`.
    """

    kind: ProxyKind
    host: str
    port: int
    user: str = ""
    secret: str = field(default="", repr=False)
    remote_names: bool = False
    allow_private: bool = False

    def __post_init__(self) -> None:
        """ConfigError for what the protocol cannot say."""
        if not self.host or _CONTROLS.search(self.host) or not 0 < self.port < 65_536:
            raise ConfigError("A proxy has a host and a port")
        if self.kind is ProxyKind.HTTP and (":" in self.user or _CONTROLS.search(self.user)):
            raise ConfigError("The user name at an HTTP proxy has no colon and no blank")  # RFC 7617 2
        if self.kind is ProxyKind.SOCKS5 and max(len(self.user.encode()), len(self.secret.encode())) > 255:
            raise ConfigError("User name and password at a SOCKS5 proxy have 255 octets at most")  # RFC 1929 2

    @classmethod
    def of_url(cls, url: str, secret: str = "", *, allow_private: bool = False) -> Proxy:
        """`socks5://[user@]host:port`, `http://…`; `socks5h://`: names are resolved there. ConfigError."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if scheme not in ("socks5", "socks5h", "http"):
            raise ConfigError("A proxy is written as socks5://host:port or http://host:port")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or port is None or parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError("A proxy is written as socks5://host:port or http://host:port")
        if parts.password is not None and secret:
            raise ConfigError("The proxy's password is given twice")
        return cls(
            ProxyKind.HTTP if scheme == "http" else ProxyKind.SOCKS5,
            host,
            port,
            unquote(parts.username or ""),
            secret or unquote(parts.password or ""),
            remote_names=scheme == "socks5h",
            allow_private=allow_private,
        )

    def __str__(self) -> str:
        """For people: without the login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the {'HTTP' if self.kind is ProxyKind.HTTP else 'SOCKS5'} proxy {host}:{self.port}"


class Negotiation(Protocol):
    """What is said to a proxy until it has connected us."""

    @property
    def wants(self) -> int:
        """So many octets at most may be read next; 0: it has connected us."""

    def start(self) -> bytes:
        """What is sent first."""

    def feed(self, octets: bytes) -> bytes:
        """What is sent then. ProxyFailed; ConnectFailed where this address cannot be reached from there."""


def negotiation(proxy: Proxy, host: str, port: int) -> Negotiation:
    """To `host`, a name or an address, through a proxy that we are connected with. ProxyFailed: it cannot be said."""
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None and (_CONTROLS.search(host) or not host.isascii() or not 0 < len(host) < 256):
        raise ProxyFailed(f"{proxy} cannot be told such a host name")
    if proxy.kind is ProxyKind.HTTP:
        return _Connect(proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if address is None:
        named = b"\x03" + bytes([len(host)]) + host.encode("ascii")
    else:
        named = (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed
    return _Socks5(proxy, named + port.to_bytes(2, "big"))


class _Socks5:
    """Method, perhaps a login, the request; each answer is of a length that its beginning tells."""

    def __init__(self, proxy: Proxy, target: bytes) -> None:
        self._proxy = proxy
        self._target = target
        self._buffer = b""
        self._step = "method"
        self.wants = 2

    def start(self) -> bytes:
        return b"\x05\x02\x00\x02" if self._proxy.user else b"\x05\x01\x00"

    def feed(self, octets: bytes) -> bytes:
        self._buffer += octets
        self.wants -= len(octets)
        if self.wants:
            return b""
        answer, self._buffer = self._buffer, b""
        if self._step == "method":
            return self._method(answer)
        if self._step == "login":
            if answer[1]:  # RFC 1929 2; its version octet is 1, and some servers say 5
                raise ProxyFailed(f"{self._proxy} does not accept our user name and password")
            return self._ask()
        if self._step == "reply":
            self._reply(answer)
        return b""

    def _method(self, answer: bytes) -> bytes:
        version, method = answer
        if version != 5:
            raise ProxyFailed(f"{self._proxy} does not speak SOCKS5")
        if method == 0:
            return self._ask()
        if method != 2 or not self._proxy.user:
            raise ProxyFailed(f"{self._proxy} wants {'another way to log in' if self._proxy.user else 'a login'}")
        self._step, self.wants = "login", 2
        user, secret = self._proxy.user.encode(), self._proxy.secret.encode()
        return b"\x01" + bytes([len(user)]) + user + bytes([len(secret)]) + secret

    def _ask(self) -> bytes:
        self._step, self.wants = "reply", 5  # as far as the length of a name
        return b"\x05\x01\x00" + self._target

    def _reply(self, answer: bytes) -> None:
        version, code, _, kind, first = answer
        if version != 5:
            raise ProxyFailed(f"{self._proxy} does not speak SOCKS5")
        if code == 6:
            raise ConnectFailed(f"{self._proxy} says: timed out", Failure.TIMEOUT)
        if code in _REFUSED:
            raise ConnectFailed(f"{self._proxy} says: {_REFUSED[code]}")
        if code in _OTHER_ADDRESS:
            raise ConnectFailed(f"{self._proxy} says: {_OTHER_ADDRESS[code]}", Failure.PROXY)
        if code:
            raise ProxyFailed(f"{self._proxy} refused: {_NOT_SERVED.get(code, f'error {code}')}")
        rest = {1: 3, 3: first, 4: 15}.get(kind)  # of the address; one octet of it has come
        if rest is None:
            raise ProxyFailed(f"{self._proxy} does not speak SOCKS5")
        self._step, self.wants = "bound", rest + 2


class _Connect:
    """One request; its answer is read in as few octets as its end may still need."""

    def __init__(self, proxy: Proxy, target: str) -> None:
        self._proxy = proxy
        self._target = target
        self._buffer = b""
        self._octets = 0
        self.wants = 4

    def start(self) -> bytes:
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._proxy.user:
            login = b64encode(f"{self._proxy.user}:{self._proxy.secret}".encode()).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {login}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def feed(self, octets: bytes) -> bytes:
        self._buffer += octets
        self._octets += len(octets)
        if self._octets > MAX_HEADER:
            raise ProxyFailed(f"{self._proxy} answers without an end")
        if not self._buffer.endswith(_END):
            if b"HTTP/1."[: len(self._buffer)] != self._buffer[:7]:
                raise ProxyFailed(f"{self._proxy} does not speak HTTP")
            self.wants = 1 if self._buffer.endswith((b"\n", b"\n\r")) else 2
            return b""
        found = _STATUS.match(self._buffer)
        if found is None:
            raise ProxyFailed(f"{self._proxy} does not speak HTTP")
        code, words = int(found[1]), _UNSAFE.sub(" ", (found[2] or b"").decode("latin-1")).strip()[:100]
        if code == 407:
            raise ProxyFailed(f"{self._proxy} {'does not accept our login' if self._proxy.user else 'wants a login'}")
        if code in _NOT_REACHED:
            raise ConnectFailed(f"{self._proxy} says: {code} {words}".rstrip(), Failure.PROXY)
        if code >= 300:
            raise ProxyFailed(f"{self._proxy} refused: {code} {words}".rstrip())
        self._buffer = b""
        self.wants = 0 if code >= 200 else 4  # 1yz: an interim answer (RFC 9110 15.2)
        return b""

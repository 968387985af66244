"""The settings themselves: one frozen dataclass a section of the file; more in `sections_access` and `sections_mail`.

Limits name their reason in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway.fields.checks import (
    are_hosts,
    are_networks,
    is_address,
    is_database,
    is_host,
    is_mail_address,
    is_mode,
    is_socket_path,
    is_uri,
)
from gateway.fields.setting import Secret, Setting
from gateway.fields.units import PIB

from .routing import NamedRelay, RouteRule
from .sections_access import Auth, Imap, Limits, Search, Web
from .sections_mail import Connectors, Lists, Queue, Relay, Retention

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
_NO_SECRET: Final = Secret()


@dataclass(frozen=True, slots=True)
class Server:
    """The process as a whole."""

    hostname: Annotated[
        str,
        Setting("Name of this server in greetings, EHLO answers, trace headers and client settings.", check=is_host),
    ] = "localhost"
    shutdown: Annotated[
        int,
        Setting(
            "How long a stop waits for work that was acknowledged before it cuts connections.",
            unit="seconds", low=0, high=600, reloadable=True,
        ),
    ] = 10
    comment: Annotated[
        str, Setting("What mail clients read as /shared/comment of this server (RFC 5464); empty: nothing.")
    ] = ""
    admin: Annotated[
        str,
        Setting(
            'How its administrator is reached, as mail clients read it: a URI such as "mailto:postmaster@example.org".',
            check=is_uri,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """One port mail clients connect to, or a mail server that hands mail on (lmtp); repeat the table for each.

    A file that has any [[listener]] replaces all four defaults.
    """

    kind: Annotated[
        Literal["imap", "submission", "lmtp", "web"],
        Setting("Protocol spoken on the port. lmtp takes mail for inboxes here without a login: it needs path, "
                "or networks. web: the HTTP API."),
    ] = "imap"
    address: Annotated[
        str, Setting('IP address to bind; "::" for IPv6.', check=is_address)
    ] = "0.0.0.0"  # noqa: S104 - a server listens on all
    port: Annotated[
        int, Setting("TCP port. Below 1024 it needs systemd sockets or CAP_NET_BIND_SERVICE.", low=0, high=65535)
    ] = 1993
    public_port: Annotated[
        int,
        Setting(
            "Port that clients are told, where a proxy or a router in front has another; 0: the same. With security = "
            '"none" the proxy there does TLS; without public_port nobody is told of such a port.',
            low=0, high=65535,
        ),
    ] = 0
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting(
            "tls: encrypted from the first octet. starttls: the client asks. none: for a TLS proxy on this machine, "
            "for lmtp, and with allow_plaintext. A Unix socket has none, whatever stands here.",
        ),
    ] = "tls"
    path: Annotated[
        str,
        Setting("Unix socket for lmtp, used instead of address and port; its directory must be there. With socket: "
                "where systemd has bound it.", check=is_socket_path),
    ] = ""
    mode: Annotated[
        str, Setting("File mode of that socket, in octal digits: who may write to it may deliver.", check=is_mode)
    ] = "0660"
    networks: Annotated[
        tuple[str, ...], Setting('Networks that may connect, such as "192.0.2.0/24"; empty: any.', check=are_networks)
    ] = ()
    proxy_networks: Annotated[
        tuple[str, ...],
        Setting("Where the proxies are that begin each connection with a PROXY protocol header (version 1 or 2), before"
                " TLS; then nobody else may connect, and networks is about the clients behind them.",
                check=are_networks),
    ] = ()
    allow_plaintext: Annotated[
        bool,
        Setting("Let clients log in without encryption. Keys travel readable: only for devices that cannot do TLS, "
                "with networks that say where they are."),
    ] = False
    minimum_version: Annotated[
        TlsVersion | None,
        Setting("Lowest TLS version on this port instead of [tls] minimum_version: for legacy devices."),
    ] = None
    ciphers: Annotated[
        str, Setting("OpenSSL cipher list for TLS 1.2 and older on this port instead of [tls] ciphers.")
    ] = ""
    socket: Annotated[
        str, Setting("Name (FileDescriptorName=) of a socket passed by systemd, used instead of address and port.")
    ] = ""


@dataclass(frozen=True, slots=True)
class Store:
    """Where mail is kept."""

    data_dir: Annotated[
        Path, Setting("Directory of the database, the local CA, the lock and the control socket.")
    ] = Path("data")
    url: Annotated[
        Secret,
        Setting(
            "Database: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; empty: gateway.db in data_dir.",
            secret=True, check=is_database,
        ),
    ] = _NO_SECRET
    master_key: Annotated[
        Secret,
        Setting(
            "Key that seals stored passwords and tokens of connectors (openssl rand -base64 32); several nodes share "
            "it. Empty: master.key in data_dir, made when it is first needed.",
            secret=True, lines=True,
        ),
    ] = _NO_SECRET
    readers: Annotated[int, Setting("Threads that read the database.", low=1, high=64)] = 2
    reader_processes: Annotated[
        int,
        Setting(
            "Processes that render large FETCHes and search texts on further cores (some 40 MB each); 0: threads only.",
            low=0, high=64,
        ),
    ] = 2
    reader_timeout: Annotated[
        int,
        Setting(
            "Time after which a page of such work is given up, with its process: the command is refused. A page takes "
            "some 50 milliseconds.",
            unit="seconds", low=5, high=3600,
        ),
    ] = 60
    flag_sync: Annotated[
        int,
        Setting(
            "Time within which a change of flags is flushed to disk after it was answered; 0: before. A power failure "
            "may undo the flags set in that time, and nothing else. PostgreSQL flushes by its own wal_writer_delay.",
            unit="milliseconds", low=0, high=1000,
        ),
    ] = 0
    writers: Annotated[
        int, Setting("Writing connections to PostgreSQL; SQLite has one writer always.", low=1, high=64)
    ] = 4


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and versions of all ports with TLS.

    Without a certificate here, a local CA and a server certificate are made in data_dir/tls on first start and renewed
    by themselves. Files are loaded again on SIGHUP and when they change.
    """

    certificate: Annotated[
        Path | None, Setting("PEM file with the server certificate and the chain below it.", reloadable=True)
    ] = None
    key: Annotated[
        Path | None, Setting("PEM file with the private key, without a pass phrase.", reloadable=True)
    ] = None
    ca: Annotated[
        Path | None,
        Setting("PEM file of the CA that clients must trust; only printed with the client settings.", reloadable=True),
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        Setting(
            "Further names and IP addresses in the certificate that the local CA makes; server.hostname, "
            "localhost, 127.0.0.1 and ::1 are always there.",
            check=are_hosts,
        ),
    ] = ()
    minimum_version: Annotated[TlsVersion, Setting("Lowest TLS version.")] = "1.2"
    ciphers: Annotated[
        str, Setting("OpenSSL cipher list for TLS 1.2 and older; empty: ECDHE with AES-GCM or ChaCha20-Poly1305.")
    ] = ""


@dataclass(frozen=True, slots=True)
class Log:
    """What is written, to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Setting("Least severe event that is written.", reloadable=True)
    ] = "info"
    format: Annotated[
        Literal["auto", "human", "json"], Setting("auto: for people on a terminal, JSON lines else.", reloadable=True)
    ] = "auto"


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """HTTP port for /metrics (Prometheus), /healthz and /readyz. It has no login: keep it local."""

    enabled: Annotated[bool, Setting("Whether to serve it.")] = True
    address: Annotated[str, Setting("IP address to bind.", check=is_address)] = "127.0.0.1"
    port: Annotated[int, Setting("TCP port.", low=0, high=65535)] = 9180


@dataclass(frozen=True, slots=True)
class InboxDefaults:
    """New inboxes."""

    first: Annotated[
        str,
        Setting(
            "Address of the inbox made by the first start; empty: inbox@ and server.hostname.",
            check=is_mail_address,
        ),
    ] = ""
    sent_copy: Annotated[
        Literal["auto", "always", "never"],
        Setting(
            "Copy of sent mail in Sent: auto makes one and drops it when the client stores its own.",
            reloadable=True,
        ),
    ] = "auto"
    quota_storage: Annotated[
        int,
        Setting(
            "What the messages of a new inbox may take; 0: no limit. Later: gateway inbox set --quota-storage.",
            unit="octets", low=0, high=PIB, reloadable=True,
        ),
    ] = 0
    quota_messages: Annotated[
        int, Setting("Messages that a new inbox may hold; 0: no limit.", low=0, high=PIB, reloadable=True)
    ] = 0
    quota_mailboxes: Annotated[
        int,
        Setting(
            "Mailboxes that a new inbox may have, with the five it begins with; 0: no limit.",
            low=0, high=PIB, reloadable=True,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every part has a default, so that `Config()` serves."""

    server: Server = Server()
    listener: tuple[Listener, ...] = (
        Listener(kind="imap", port=1993, security="tls"),
        Listener(kind="submission", port=1465, security="tls"),
        Listener(kind="submission", port=1587, security="starttls"),
        Listener(kind="web", port=8443, security="tls"),
    )
    store: Store = Store()
    tls: Tls = Tls()
    limits: Limits = field(default_factory=Limits)
    imap: Imap = field(default_factory=Imap)
    web: Web = field(default_factory=Web)
    search: Search = field(default_factory=Search)
    auth: Auth = field(default_factory=Auth)
    relay: Relay = field(default_factory=Relay)
    relays: tuple[NamedRelay, ...] = ()
    route: tuple[RouteRule, ...] = ()
    queue: Queue = field(default_factory=Queue)
    lists: Lists = field(default_factory=Lists)
    connectors: Connectors = field(default_factory=Connectors)
    retention: Retention = field(default_factory=Retention)
    log: Log = Log()
    metrics: MetricsServer = MetricsServer()
    inbox: InboxDefaults = InboxDefaults()

    @property
    def database_url(self) -> str:
        """`store.url` (it may hold a password: never log it), or the SQLite file in the data directory."""
        return self.store.url.reveal() or f"sqlite:///{self.store.data_dir.absolute() / 'gateway.db'}"

    @property
    def tls_dir(self) -> Path:
        """Directory of the local CA and its certificate."""
        return self.store.data_dir / "tls"

"""The settings themselves: one frozen dataclass a section of the file. Limits name their reason in the text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from .checks import (
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
from .fields import Secret, Setting
from .routing import NamedRelay, RouteRule

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
KIB = 1024
MIB = 1024 * KIB
PIB = 1024**3 * MIB
HOUR = 3600
DAY = 24 * HOUR
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

    A file that has any [[listener]] replaces all three defaults.
    """

    kind: Annotated[
        Literal["imap", "submission", "lmtp"],
        Setting("Protocol spoken on the port. lmtp takes mail for inboxes here without a login: it needs path, "
                "or networks."),
    ] = "imap"
    address: Annotated[
        str, Setting('IP address to bind; "::" for IPv6.', check=is_address)
    ] = "0.0.0.0"  # noqa: S104 - a server listens on all
    port: Annotated[
        int, Setting("TCP port. Below 1024 it needs systemd sockets or CAP_NET_BIND_SERVICE.", low=0, high=65535)
    ] = 1993
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
class Limits:
    """What one client, message or session may use."""

    max_message_size: Annotated[
        int,
        Setting(
            "Largest message by submission or APPEND (SIZE, APPENDLIMIT).",
            unit="octets", low=64 * KIB, high=1024 * MIB,
        ),
    ] = 10 * MIB
    max_import_size: Annotated[
        int, Setting("Largest message that an import takes.", unit="octets", low=64 * KIB, high=1024 * MIB)
    ] = 64 * MIB
    connections_per_ip: Annotated[
        int, Setting("Open connections from one IPv4 address or IPv6 /64, on all ports.", low=1, reloadable=True)
    ] = 2000
    connections_per_inbox: Annotated[
        int, Setting("Sessions logged in to one inbox, IMAP and submission together.", low=1, reloadable=True)
    ] = 100
    login_timeout: Annotated[
        int, Setting("From connecting to a successful login, in all.", unit="seconds", low=5, high=600)
    ] = 60
    handshake_timeout: Annotated[int, Setting("For the TLS handshake.", unit="seconds", low=1, high=120)] = 10
    imap_idle_timeout: Annotated[
        int,
        Setting("Silence after which an IMAP session ends; RFC 3501 5.4 demands 30 minutes.", unit="seconds", low=1800),
    ] = 1800
    imap_keepalive: Annotated[
        int,
        Setting(
            'Interval of "Still here" in IDLE, so that address translators keep the connection.',
            unit="seconds", low=10, high=1800,
        ),
    ] = 120
    write_timeout: Annotated[
        int, Setting("A client that reads nothing for so long is dropped.", unit="seconds", low=10, high=3600)
    ] = 120
    smtp_session: Annotated[int, Setting("Longest submission session.", unit="seconds", low=60, high=86400)] = 1800
    smtp_idle_timeout: Annotated[
        int,
        Setting(
            "Silence after which a submission session ends (RFC 5321 4.5.3.2.7).",
            unit="seconds", low=30, high=3600,
        ),
    ] = 300
    recipients: Annotated[int, Setting("Recipients of one submission.", low=1, high=1000)] = 50
    same_mail: Annotated[
        int,
        Setting(
            "How long a submission is known, so that a client that did not see its acceptance and sends it again sends "
            "one mail; 0: not at all.",
            unit="seconds", low=0, high=DAY,
        ),
    ] = HOUR
    future_release: Annotated[
        int,
        Setting(
            "How far ahead mail may be scheduled (FUTURERELEASE, X-Send-At in drafts); 0: not at all.",
            unit="seconds", low=0, high=365 * DAY,
        ),
    ] = 30 * DAY
    inbox_per_hour: Annotated[
        int, Setting("Recipients an inbox may send to in an hour, if it has no limit of its own; 0: any.", low=0)
    ] = 0
    inbox_per_day: Annotated[int, Setting("The same in a day.", low=0)] = 0
    key_per_hour: Annotated[
        int, Setting("Recipients a key may send to in an hour, if it has no limit of its own; 0: any.", low=0)
    ] = 0
    key_per_day: Annotated[int, Setting("The same in a day.", low=0)] = 0


@dataclass(frozen=True, slots=True)
class Imap:
    """Extensions of IMAP that are a matter of choice."""

    compress: Annotated[
        bool,
        Setting(
            "Offer COMPRESS=DEFLATE: a quarter of the traffic, for more CPU and 180 KiB of memory a connection. Mail"
            " that others write beside secrets in one compressed stream may betray them by its size."
        ),
    ] = False
    unauthenticate: Annotated[
        bool,
        Setting("Offer UNAUTHENTICATE, by which a connection logs in anew; not behind a proxy that checks logins."),
    ] = True
    message_limit: Annotated[
        int,
        Setting(
            "Messages that one FETCH, SEARCH, STORE, COPY, MOVE, UID EXPUNGE or APPEND may process (MESSAGELIMIT); 0: "
            "no limit. Clients that do not know the extension see part of a large mailbox only: 1000 at least.",
            low=0,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class Search:
    """How texts are searched."""

    trigram: Annotated[
        bool,
        Setting(
            "Keep an index (search.db in data_dir, half as large as the texts) that speeds up searches in mailboxes of"
            " some 100,000 messages; it is made in the background. Switched off, the file is removed."
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Auth:
    """Logging in. Failures slow their source address only, never a key's owner elsewhere."""

    failures_per_minute: Annotated[
        int,
        Setting(
            "Failed logins a minute from one IPv4 address or IPv6 /64 before it must wait.",
            low=1, reloadable=True,
        ),
    ] = 10
    failures_per_day: Annotated[
        int,
        Setting(
            "Failed logins a day from one source; each further one doubles its waiting time.",
            low=1, reloadable=True,
        ),
    ] = 50
    first_delay: Annotated[
        int,
        Setting(
            "Waiting time after the first failure beyond failures_per_day.",
            unit="seconds", low=1, high=3600, reloadable=True,
        ),
    ] = 30
    longest_delay: Annotated[
        int, Setting("Where the waiting time stops doubling.", unit="seconds", low=1, high=DAY, reloadable=True)
    ] = HOUR
    hash_threads: Annotated[int, Setting("Threads that check keys seen for the first time.", low=1, high=32)] = 2
    cached_keys: Annotated[int, Setting("Keys whose secret need not be hashed again.", low=0, high=10_000_000)] = 65536
    touch_interval: Annotated[
        int, Setting("How often last-used times are written.", unit="seconds", low=1, high=3600)
    ] = 5


@dataclass(frozen=True, slots=True)
class Relay:
    """The server that takes mail for other domains: the route called "relay", and where no rule says otherwise.

    Without it, and without routes, only local recipients are accepted.
    """

    host: Annotated[str, Setting("Name or address of the relay; empty: none.", check=is_host, reloadable=True)] = ""
    port: Annotated[int, Setting("Port of the relay.", low=1, high=65535, reloadable=True)] = 587
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting("How the connection is encrypted; certificate and name are verified.", reloadable=True),
    ] = "starttls"
    user: Annotated[str, Setting("User name at the relay; empty: no login.", reloadable=True)] = ""
    secret: Annotated[Secret, Setting("Password at the relay.", secret=True, reloadable=True)] = _NO_SECRET
    mechanism: Annotated[
        Literal["auto", "plain", "login", "cram-md5", "xoauth2"],
        Setting(
            "How to log in; auto: the first of PLAIN, LOGIN and CRAM-MD5 that the relay offers. With xoauth2 the "
            "secret is an access token.",
            reloadable=True,
        ),
    ] = "auto"
    ca: Annotated[
        Path | None, Setting("PEM file of the CA of the relay instead of the system's.", reloadable=True)
    ] = None
    allow_private: Annotated[
        bool,
        Setting(
            "Allow a relay in a private network or on this machine; else such addresses are refused.",
            reloadable=True,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Queue:
    """Mail on its way to other servers."""

    connections: Annotated[
        int,
        Setting(
            "Deliveries at the same time, to all next hops together. One that has none under way gets its first also "
            "beyond this, up to ten times as many in all: those that hang never keep mail for others waiting.",
            low=1, high=1000, reloadable=True,
        ),
    ] = 20
    per_destination: Annotated[
        int, Setting("Deliveries at the same time to one next hop.", low=1, high=1000, reloadable=True)
    ] = 5
    per_minute: Annotated[
        int, Setting("Messages a minute to one next hop; 0: no limit.", low=0, high=1_000_000, reloadable=True)
    ] = 0
    first_retry: Annotated[
        int, Setting("Waiting time after the first temporary failure.", unit="seconds", low=1, reloadable=True)
    ] = 60
    longest_retry: Annotated[
        int, Setting("Where the doubling of the waiting time stops.", unit="seconds", low=1, reloadable=True)
    ] = 4 * HOUR
    lifetime: Annotated[
        int,
        Setting(
            "After so long a message is returned to its sender (RFC 5321 4.5.4.1: 4-5 days).",
            unit="seconds", low=60, reloadable=True,
        ),
    ] = 5 * DAY
    delay_notice: Annotated[
        int,
        Setting(
            "After so long the sender is told, once, that its mail is late; 0: never (RFC 3461 5.2.5).",
            unit="seconds", low=0, reloadable=True,
        ),
    ] = 4 * HOUR
    unknown_outcome: Annotated[
        Literal["resend", "hold"],
        Setting(
            "When the connection or the process broke after the whole message was sent, the relay may have it. resend: "
            "try again, it may arrive twice. hold: wait for gateway queue release or cancel.",
            reloadable=True,
        ),
    ] = "resend"


@dataclass(frozen=True, slots=True)
class Lists:
    """Allow and block lists (gateway list)."""

    blocked: Annotated[
        Literal["spam", "refuse"],
        Setting("What becomes of mail that a list keeps from an inbox. spam: it is delivered to the folder for spam. "
                "refuse: its sender is told (550 5.7.1)."),
    ] = "spam"


@dataclass(frozen=True, slots=True)
class Retention:
    """What is removed by itself, and when."""

    trash: Annotated[
        int, Setting("Age at which messages in Trash are removed; 0: never.", unit="days", low=0, reloadable=True)
    ] = 0
    spam: Annotated[
        int, Setting("Age at which messages in Spam are removed; 0: never.", unit="days", low=0, reloadable=True)
    ] = 0
    deleted_inbox: Annotated[
        int, Setting("How long a deleted inbox can still be brought back.", unit="days", low=0, reloadable=True)
    ] = 7
    revoked_keys: Annotated[
        int,
        Setting(
            "How long a key is still listed (gateway key list --all) after it was revoked or expired; 0: for ever.",
            unit="days", low=0, reloadable=True,
        ),
    ] = 30
    queue_history: Annotated[
        int,
        Setting(
            "How long a message that went out (or failed) is still shown by gateway queue show, with all attempts.",
            unit="days", low=0, reloadable=True,
        ),
    ] = 30
    content: Annotated[
        int,
        Setting(
            "How long octets outlive the last message that refers to them, for sessions not told yet.",
            unit="seconds", low=60, reloadable=True,
        ),
    ] = HOUR
    expunge_records: Annotated[
        int,
        Setting(
            "Expunges that each mailbox remembers, for clients that come back; one that missed more of them than that "
            "compares UIDs instead (RFC 7162 5).",
            low=100, high=10_000_000, reloadable=True,
        ),
    ] = 10_000


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
    )
    store: Store = Store()
    tls: Tls = Tls()
    limits: Limits = Limits()
    imap: Imap = Imap()
    search: Search = Search()
    auth: Auth = Auth()
    relay: Relay = Relay()
    relays: tuple[NamedRelay, ...] = ()
    route: tuple[RouteRule, ...] = ()
    queue: Queue = Queue()
    lists: Lists = Lists()
    retention: Retention = Retention()
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

"""What can be set of a connector: the same fields in TOML, on the command line, in JSON and in Python.

What somebody gave is kept as it was given (`Given`), and the preset of the provider and the defaults are put below it
whenever it is read (`presets.resolve`): a better preset serves the connectors that there are. Secrets are fields like
the others and never part of what is kept in the open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from gateway.fields.checks import is_host, is_proxy
from gateway.fields.setting import Secret, Setting

from .checks import are_folder_patterns, are_mechanisms, are_pins, is_one_word, is_pem, is_since

_NO_SECRET: Final = Secret()
TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of the account: how its server is reached and who we are there."""

    enabled: Annotated[bool, Setting("Whether this side is used.")] = True
    host: Annotated[str, Setting("Name or address of the server; empty: the provider's.", check=is_host)] = ""
    port: Annotated[int, Setting("Its port; 0: the usual one for `security`.", low=0, high=65535)] = 0
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting("tls: encrypted from the first octet. starttls: required before login. none: in the clear."),
    ] = "tls"
    user: Annotated[str, Setting("User name; empty: the e-mail address.")] = ""
    secret: Annotated[Secret, Setting("Password or app password; not for OAuth.", secret=True)] = _NO_SECRET
    mechanism: Annotated[
        tuple[str, ...],
        Setting("How to log in, tried once: the first that is offered of these: plain, login, cram-md5, xoauth2, "
                "oauthbearer, auto; or a single one. auto: what the server offers and the credentials are for.",
                check=are_mechanisms),
    ] = ("auto",)
    tls_min: Annotated[TlsVersion, Setting("Lowest TLS version that the server may choose.")] = "1.2"
    tls_max: Annotated[TlsVersion, Setting("Highest TLS version.")] = "1.3"
    min_dh_bits: Annotated[
        int, Setting("Smallest Diffie-Hellman group that is accepted.", unit="bits", low=512, high=16384)
    ] = 2048
    ca: Annotated[
        str,
        Setting("Certificates (PEM) of the CAs to trust instead of the system's; a file's name is read once.",
                check=is_pem, lines=True),
    ] = ""
    pins: Annotated[
        tuple[str, ...],
        Setting("SHA-256 of certificates or public keys, one of which the server must show.", check=are_pins),
    ] = ()
    pin_only: Annotated[bool, Setting("A pin stands in the place of CA, date and name.")] = False
    local_name: Annotated[
        str, Setting("Our name in EHLO and ID; empty: that of this server.", check=is_one_word)
    ] = ""
    allow_private: Annotated[bool, Setting("Allow a server in a private network or on this machine.")] = False
    proxy: Annotated[
        str,
        Setting("Way out: socks5://host:port (socks5h: names are looked up there) or http://user@host:port (CONNECT).",
                check=is_proxy),
    ] = ""
    proxy_secret: Annotated[Secret, Setting("Password at the proxy.", secret=True)] = _NO_SECRET


@dataclass(frozen=True, slots=True)
class ImapLeg(Leg):
    """Where mail is read."""

    folders: Annotated[
        tuple[str, ...],
        Setting('Folders to sync, by name, pattern ("Lists/*") or role ("\\\\Sent"); empty: all.',
                check=are_folder_patterns),
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Setting("Folders to leave out; wins over `folders`.", check=are_folder_patterns)
    ] = ()
    search: Annotated[
        str, Setting("Only messages that an IMAP SEARCH with these terms finds, such as FROM boss@corp.example.")
    ] = ""
    since: Annotated[
        str, Setting("Only messages from this date on, or of so many days (90d); empty: all.", check=is_since)
    ] = ""
    after_fetch: Annotated[
        Literal["keep", "seen", "move", "delete"],
        Setting("What becomes of a message in the account once it is here; in mode pull it is kept as it is."),
    ] = "keep"
    after_fetch_folder: Annotated[str, Setting("Where `move` puts it.")] = ""


@dataclass(frozen=True, slots=True)
class SmtpLeg(Leg):
    """Where mail is sent."""

    sent_copy: Annotated[
        Literal["auto", "always", "never"],
        Setting("Whether we file what is sent in the account's Sent folder. auto: unless the provider does it."),
    ] = "auto"
    fallback: Annotated[
        bool, Setting("Send through the relay when the account cannot send.")
    ] = False
    connections: Annotated[int, Setting("Connections at the same time; 0: the provider's.", low=0, high=100)] = 0
    per_minute: Annotated[int, Setting("Messages a minute; 0: the provider's.", low=0, high=100_000)] = 0


@dataclass(frozen=True, slots=True)
class Sync:
    """What is kept in sync, how, and when."""

    enabled: Annotated[bool, Setting("Whether mail is synced by itself; `gateway connector sync` always does.")] = True
    mode: Annotated[
        Literal["pull", "two-way", "import"],
        Setting("pull: nothing is changed in the account. two-way: changes here are made there too. import: once."),
    ] = "pull"
    interval: Annotated[
        int, Setting("Time between two looks at what is not pushed; 0: never.", unit="minutes", low=0, high=44_640)
    ] = 5
    push: Annotated[bool, Setting("Stay connected and hear of new mail at once (IDLE).")] = True
    on_access: Annotated[
        int,
        Setting("How long SELECT and SEARCH of a client may wait for a look at the account; 0: they do not.",
                unit="seconds", low=0, high=60),
    ] = 0
    vanished: Annotated[
        Literal["keep", "trash", "delete"],
        Setting("pull mode: what becomes here of a message that is gone from the account."),
    ] = "keep"
    flags: Annotated[bool, Setting("two-way: flags and keywords go up.")] = True
    moves: Annotated[bool, Setting("two-way: moves go up.")] = True
    deletes: Annotated[bool, Setting("two-way: deletions go up, to the account's Trash.")] = True
    permanent: Annotated[
        bool, Setting("two-way: what is deleted here outside Trash is deleted there for good.")
    ] = False
    new_folders: Annotated[bool, Setting("two-way: new, renamed and deleted folders go up.")] = True
    appended: Annotated[bool, Setting("two-way: drafts and mail filed by clients go up.")] = True


@dataclass(frozen=True, slots=True)
class Options:
    """All of one connector. `provider` names a preset (`presets`)."""

    imap: ImapLeg = field(default_factory=ImapLeg)
    smtp: SmtpLeg = field(default_factory=SmtpLeg)
    sync: Sync = field(default_factory=Sync)


SECTIONS: Final[dict[str, type[ImapLeg | SmtpLeg | Sync]]] = {"imap": ImapLeg, "smtp": SmtpLeg, "sync": Sync}

"""Settings of mail that goes out, and of what is removed by itself (`sections`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway.fields.checks import is_host, is_proxy
from gateway.fields.setting import Secret, Setting
from gateway.fields.units import DAY, HOUR

_NO_SECRET: Final = Secret()


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
        Literal["auto", "plain", "login", "cram-md5", "xoauth2", "oauthbearer"],
        Setting(
            "How to log in; auto: the first of PLAIN, LOGIN and CRAM-MD5 that the relay offers. With xoauth2 and "
            "oauthbearer the secret is an access token.",
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
    proxy: Annotated[
        str,
        Setting(
            "Way out: socks5://user@host:port or http://user@host:port (CONNECT). It is told the address that was "
            "looked up and checked here; socks5h: names are looked up there.",
            check=is_proxy, reloadable=True,
        ),
    ] = ""
    proxy_secret: Annotated[
        Secret, Setting("Password at the proxy, which it is told in the clear.", secret=True, reloadable=True)
    ] = _NO_SECRET


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
class Connectors:
    """Accounts elsewhere (gateway connector): how fast this process logs in to them, and how many it takes.

    What is over the limits waits its turn. 1,000 accounts at one host are connected within 100 seconds of a start.
    """

    logins_per_minute: Annotated[
        int, Setting("Logins at one host a minute, after a first few at once; 0: any number.", low=0, high=100_000)
    ] = 600
    first_logins: Annotated[int, Setting("Logins at one host that may begin at once.", low=1, high=10_000)] = 20
    host_connections: Annotated[
        int, Setting("Connections to one host at the same time; 0: any number.", low=0, high=100_000)
    ] = 0
    starting: Annotated[
        int, Setting("Accounts that connect, or sync for the first time, at the same time.", low=1, high=1_000)
    ] = 50
    accounts: Annotated[
        int, Setting("Accounts that this process follows; others are left to processes that share the database.",
                     low=0, high=100_000)
    ] = 10_000


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
    connector_events: Annotated[
        int,
        Setting("How long gateway connector events shows what connectors did.", unit="days", low=1, high=36_500,
                reloadable=True),
    ] = 30
    audit: Annotated[
        int,
        Setting("How long gateway audit shows who changed what.", unit="days", low=1, high=36_500, reloadable=True),
    ] = 90
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

"""Settings of clients: what they may do, IMAP, searches, logins (`sections`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gateway.fields.checks import is_web_address
from gateway.fields.setting import Setting
from gateway.fields.units import DAY, HOUR, KIB, MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, message or session may use."""

    max_message_size: Annotated[
        int,
        Setting(
            "Largest message by submission, LMTP or APPEND (SIZE, APPENDLIMIT).",
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
class Web:
    """The HTTP API, on listeners of kind web."""

    base_url: Annotated[
        str,
        Setting(
            'How browsers and programs reach it, such as "https://mail.example.org"; empty: https, server.hostname and'
            " the port of the first listener of kind web.",
            check=is_web_address,
        ),
    ] = ""
    requests_per_second: Annotated[
        int,
        Setting("Requests that one key may go on making; more are answered 429.", low=1, high=1_000_000),
    ] = 100
    request_burst: Annotated[
        int, Setting("Requests that it may make at once after a pause.", low=1, high=1_000_000)
    ] = 500
    private_accounts: Annotated[
        bool,
        Setting(
            "Connectors made by way of MailSlurp's API, which cannot say so itself, may lead into private networks and"
            " to this machine, where the key opens everything."
        ),
    ] = False
    webhook_private: Annotated[
        bool, Setting("Webhooks may lead into private networks and to this machine.")
    ] = False
    webhook_ca: Annotated[
        Path | None,
        Setting("PEM file: webhooks trust these certificates and no others; unset: those that the system trusts."),
    ] = None


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

"""What a person can do about a failure: by its class, and by what is known of the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from gateway.outbound.failure import Failure

from .presets import PRESETS, Preset

Side = Literal["imap", "smtp"]

_TEXTS: Final[Mapping[Failure, str]] = {
    Failure.DNS: "Check the spelling of {side}.host.",
    Failure.DENIED: "The host is in a private network or on this machine; {side}.allow_private=yes allows that.",
    Failure.REFUSED: "Check {side}.host and {side}.port, and whether a firewall lets this server out.",
    Failure.TIMEOUT: "The server did not answer in time. Check {side}.port and {side}.security (a port that is for TLS "
                     "says nothing to others), and whether a firewall is in the way.",
    Failure.PROXY: "Check {side}.proxy and its user and password.",
    Failure.TLS_VERIFY: "Check {side}.host: the certificate must be for that name. For a server with a CA of its own, "
                        "give its certificate as {side}.ca. An expired one is renewed by its administrator; until then "
                        "{side}.pins with {side}.pin_only accepts that very certificate.",
    Failure.TLS_VERSION: "The server offers only old TLS. Ask its administrator; until then {side}.tls_min lowers what "
                         "is accepted, and {side}.min_dh_bits the size of its Diffie-Hellman group.",
    Failure.NOT_TLS: "The port does not speak TLS from the start. Try {side}.security = starttls, or port {tls_port}.",
    Failure.NO_STARTTLS: "The server does not offer STARTTLS there. Try {side}.security = tls with port {tls_port}.",
    Failure.PROTOCOL: "What answers there is no {protocol} server that can be understood; the log shows what it said.",
    Failure.LOST: "The server closed the connection. If it goes on, the log shows at which step.",
    Failure.BYE: "The server closed the connection and said why.",
    Failure.LOGIN_DISABLED: "The server offers no login that may be used here: check {side}.security and "
                            "{side}.mechanism. One that offers XOAUTH2 or OAUTHBEARER alone wants OAuth: gateway "
                            "connector login {name}.",
    Failure.AUTH_REJECTED: "Check user name and password: {side}.user is often the whole e-mail address.",
    Failure.AUTH_OAUTH: "The access was withdrawn, has ended or is for another account: gateway connector login {name}",
    Failure.APP_PASSWORD_NEEDED: "The account wants an app password instead of its usual one.",
    Failure.IMAP_DISABLED: "IMAP is switched off for this account: its owner, or the administrator, can switch it on.",
    Failure.SMTP_AUTH_DISABLED: "Logging in to send is switched off for this account or its whole organisation: its "
                                "administrator can switch it on. Receiving goes on.",
    Failure.MAILBOX_UNREACHABLE: "The login worked, and there is no mailbox behind it: check that the account has a "
                                 "licence, and that user and access token are for the same mailbox.",
    Failure.LIMIT: "The account has as many connections as it may have, or a quota is used up. Close other mail "
                   "programs or wait; it is tried again by itself.",
    Failure.THROTTLED: "The server wants us to wait; it is tried again by itself.",
    Failure.UNAVAILABLE: "The server has an outage of its own; it is tried again by itself.",
    Failure.FOLDER_MISSING: "There is no such folder (case counts, INBOX apart): gateway remote list {name}",
    Failure.REFUSED_COMMAND: "The server refused a command; the log shows which one and what it said.",
}  # fmt: skip
_OF_SMTP: Final[Mapping[Failure, str]] = {
    Failure.LOGIN_DISABLED: "Without TLS no password is sent. Where no login is wanted, give an empty one: "
                            "--set smtp.secret=",
}  # fmt: skip
_OF_PROVIDER: Final = frozenset({Failure.AUTH_REJECTED, Failure.APP_PASSWORD_NEEDED, Failure.IMAP_DISABLED})
"""Failures whose remedy is on the provider's own pages."""
_SPECIAL: Final[Mapping[tuple[str, Failure], str]] = {
    ("microsoft", Failure.SMTP_AUTH_DISABLED):
        "SMTP AUTH is switched off in the organisation: its administrator can switch it on for the mailbox "
        "(Set-CASMailbox -SmtpClientAuthenticationDisabled $false). Receiving goes on.",
    ("microsoft", Failure.MAILBOX_UNREACHABLE):
        "The login worked, and Exchange does not connect it with a mailbox: check the licence, that the token was "
        "consented for IMAP.AccessAsUser.All, and for an application its FullAccess to the mailbox. It also says so "
        "when connections are made too often: then it is over after some minutes.",
    ("google", Failure.AUTH_OAUTH):
        "Google has withdrawn the access: gateway connector login {name}. An application in the status \"Testing\" "
        "loses it every 7 days; publish it, or make it internal to your organisation.",
    ("google", Failure.LIMIT):
        "Gmail allows 15 connections an account, those of other mail programs too, and some 2.5 GB a day; it is tried "
        "again by itself.",
}  # fmt: skip
_ALIKE: Final = {"outlook": "microsoft"}


def advise(failure: Failure, side: Side, provider: str, name: str = "NAME") -> str:
    """The remedy, in sentences. `provider`: a preset's name; `name`: the connector's, for commands."""
    preset: Preset | None = PRESETS.get(provider)
    kind = _ALIKE.get(provider, provider)
    text = _SPECIAL.get((kind, failure)) or _TEXTS[failure]
    if side == "smtp" and failure in _OF_SMTP:
        text = f"{text} {_OF_SMTP[failure]}"
    tls_port = 993 if side == "imap" else 465
    text = text.format(side=side, name=name, tls_port=tls_port, protocol=side.upper())
    if failure in _OF_PROVIDER and preset is not None and preset.help:
        text = f"{text} {preset.help.replace('NAME', name)}"
    return text

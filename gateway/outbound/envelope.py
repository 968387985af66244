"""MAIL and RCPT for one server: only what it offers is said, and what it cannot carry is seen before (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import idna

from gateway.model import xtext
from gateway.model.recipient import Notify, Recipient

from .mail import OutgoingMail
from .offer import Offer

_CONTROLS: Final = re.compile("[\0-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Body:
    """What the body is declared as: BODY's value, None to say nothing; and the size of what will be sent."""

    declared: bytes | None
    size: int


def wire_address(address: str, offer: Offer) -> bytes | None:
    """The address as this server can take it; None: only SMTPUTF8 could carry it (RFC 6531 3.2)."""
    if offer.smtputf8 or address.isascii():
        return address.encode("utf-8", "strict")
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        return None
    try:
        return local.encode("ascii") + b"@" + idna.encode(domain, uts46=True)
    except idna.IDNAError:
        return None


def mail_command(mail: OutgoingMail, sender: bytes, body: Body, offer: Offer) -> bytes:
    """MAIL FROM with its parameters. ValueError for an address that would break out of its line: a defect of ours."""
    words = [b"MAIL FROM:<%b>" % sender]
    if offer.size is not None:
        words.append(b"SIZE=%d" % body.size)
    if body.declared is not None:
        words.append(b"BODY=" + body.declared)
    utf8 = mail.header_utf8 or not all(each.isascii() for each in (mail.mail_from, *_addresses(mail)))
    if offer.smtputf8 and utf8:
        words.append(b"SMTPUTF8")
    if offer.dsn:  # RFC 3461 5.2.1: what the sender said, and nothing that it did not say
        if mail.ret is not None:
            words.append(b"RET=" + mail.ret.encode("ascii"))
        if mail.envelope_id is not None:
            words.append(b"ENVID=" + xtext.encode(mail.envelope_id).encode("ascii"))
    return _line(words)


def rcpt_command(recipient: Recipient, address: bytes, offer: Offer) -> bytes:
    """RCPT TO with its parameters. ValueError as above."""
    words = [b"RCPT TO:<%b>" % address]
    if offer.dsn and recipient.notify is not None:
        words.append(b"NOTIFY=" + notify_value(recipient.notify))
    if offer.dsn and recipient.orcpt is not None:
        original = recipient.orcpt
        if not original.isascii() and not offer.smtputf8:  # RFC 6533 3: then the form that is ASCII
            kind, _, address_text = original.partition(";")
            original = f"{kind};{xtext.encode_utf8(xtext.decode_utf8(address_text) or address_text)}"
        words.append(b"ORCPT=" + original.encode())
    return _line(words)


def notify_value(notify: int) -> bytes:
    """NEVER, or some of SUCCESS, FAILURE and DELAY (RFC 3461 4.1)."""
    asked = [flag.name or "" for flag in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY) if notify & flag]
    return ",".join(asked or ["NEVER"]).encode("ascii")


def within_limits(recipients: Sequence[Recipient], offer: Offer) -> list[bool]:
    """Which of them one transaction may name (RFC 9422): the others have to wait for the next one."""
    domains: set[str] = set()
    named = 0
    fits = []
    for recipient in recipients:
        domain = recipient.address.rpartition("@")[2].lower()
        fit = (offer.rcpt_max is None or named < offer.rcpt_max) and (
            offer.domain_max is None or domain in domains or len(domains) < offer.domain_max
        )
        if fit:
            named += 1
            domains.add(domain)
        fits.append(fit)
    return fits


def _addresses(mail: OutgoingMail) -> list[str]:
    return [recipient.address for recipient in mail.recipients]


def _line(words: Sequence[bytes]) -> bytes:
    line = b" ".join(words)
    if _CONTROLS.search(line.decode("latin-1")):
        raise ValueError("a control character in an envelope")
    return line

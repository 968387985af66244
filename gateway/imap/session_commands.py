"""Commands that change the connection itself: COMPRESS (RFC 4978), UNAUTHENTICATE (RFC 8437), LANGUAGE (RFC 5255)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import structlog

from gateway.wire import commands as c

from .replies import Reply, bad, no, ok

if TYPE_CHECKING:
    from .session import Session

log = structlog.get_logger(__name__)

I_DEFAULT: Final = "i-default"
"""RFC 2277 4.5: English that many can read, in ASCII."""

LANGUAGES: Final = ("EN", I_DEFAULT)
"""What we speak, the administrator's preference first. Both are the same words."""


async def compress(session: Session, command: c.Compress) -> Reply | None:
    """Both directions are deflated from behind this OK. A client that pipelines has not waited for the answer."""
    channel = session.channel
    if not session.services.settings.compress:
        return bad("COMPRESS is not offered")
    if command.algorithm != "DEFLATE":
        return bad("Unknown compression algorithm")
    if channel.compressed:
        return bad("DEFLATE is active already", b"COMPRESSIONACTIVE")
    if channel.reader.buffered:
        return bad("Wait for the answer before you go on")  # RFC 4978 3: MUST NOT send any further commands
    channel.send(ok("DEFLATE active").line(command.tag))
    channel.compress()
    return None


async def unauthenticate(session: Session, command: c.Unauthenticate) -> Reply | None:
    """Nothing of who was here is left, TLS stays. The client may have pipelined its next login."""
    if not session.services.settings.unauthenticate:
        return bad("UNAUTHENTICATE is not offered")
    principal = session.require_principal()
    session.logged_out()
    log.info("imap.unauthenticated", inbox=principal.inbox_address, peer=session.channel.peer.address)
    session.channel.send(ok("Logged out of the inbox", b"CAPABILITY " + session.capability).line(command.tag))
    session.channel.expand()
    return None


async def language(session: Session, command: c.Language) -> Reply:
    if not command.ranges:
        session.channel.send(f"* LANGUAGE ({' '.join(LANGUAGES)})\r\n".encode("ascii"))
        return ok("Languages listed")
    found = spoken(command.ranges)
    if found is None:
        return no("None of these languages is spoken here")
    session.language = found
    session.channel.send(f"* LANGUAGE ({found})\r\n".encode("ascii"))
    return ok("Now speaking English")


def spoken(ranges: Iterable[str]) -> str | None:
    """The language of the first range that names one of ours, by look-up: EN-CA is EN (RFC 4647 3.4)."""
    for wanted in ranges:
        if wanted.lower() in ("default", "*"):
            return LANGUAGES[0]
        parts = wanted.lower().split("-")
        while parts:
            for known in LANGUAGES:
                if known.lower() == "-".join(parts):
                    return known
            parts.pop()
    return None

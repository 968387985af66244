"""Who may read what a signed URL names (RFC 4467): its token, its access identifier, its date."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.store import inboxes, mailboxes, url_keys
from gateway.store.db import Rx
from gateway.wire.tokens import Malformed
from gateway.wire.url import MessageUrl, parse_url

from . import url_parts
from .url_parts import Found

INTERNAL: Final = "INTERNAL"
KEY_OCTETS: Final = 32
"""256 bits; RFC 4467 2.2 asks for 128 at least."""
_ALGORITHM: Final = b"01"  # HMAC-SHA256 over the rump (2.4.1: a token tells how it was made)


def fresh_key() -> bytes:
    return secrets.token_bytes(KEY_OCTETS)


def token_of(key: bytes, rump: bytes) -> bytes:
    """What authorizes the URL that begins with `rump`, in hexadecimal digits."""
    return _ALGORITHM + hmac.digest(key, rump, "sha256").hex().encode("ascii")


def authorized(rx: Rx, url: bytes, now: int, *, reader: InboxId | None) -> tuple[Found, MessageUrl] | None:
    """What `url` names, read with its owner's eyes, if it was signed and `reader` is among those it was signed for.

    `reader`: the inbox of an IMAP session; None: a message submission entity, which has checked the user after
    `submit+` itself (RFC 4467 3). None also for all that is wrong with a URL: nobody learns what.
    """
    found = permitted(rx, url, now, reader=reader)
    if found is None:
        return None
    owner, asked = found
    try:
        return url_parts.find_part(rx, owner, asked.mailbox or "", asked), asked
    except NotFound:
        return None


def permitted(rx: Rx, url: bytes, now: int, *, reader: InboxId | None) -> tuple[InboxId, MessageUrl] | None:
    """As `authorized`, without a look at the message: the inbox whose mailbox holds it."""
    try:
        asked = parse_url(url)
    except Malformed:
        return None
    permit, server = asked.authorization, asked.server
    if permit is None or server is None or not server.user or asked.mailbox is None or permit.mechanism != INTERNAL:
        return None
    owner = inboxes.inbox_by_address(rx, server.user)
    box = mailboxes.by_name(rx, owner.id, asked.mailbox) if owner is not None else None
    key = url_keys.key_of(rx, owner.id, box.id) if owner is not None and box is not None else None
    # Also without a key: how long it takes does not tell which mailboxes there are (RFC 4467 6).
    right = hmac.compare_digest(token_of(key or fresh_key(), permit.rump), permit.token.lower())
    if owner is None or key is None or not right or (permit.expires is not None and permit.expires < now):
        return None
    if not _admits(rx, permit.access, permit.user, reader):
        return None
    return owner.id, asked


def _admits(rx: Rx, access: str, user: str, reader: InboxId | None) -> bool:
    """RFC 4467 3. There are no anonymous sessions here, so `anonymous` means whoever is logged in."""
    if reader is None:
        return access == "submit"
    if access == "user":
        named = inboxes.inbox_by_address(rx, user)
        return named is not None and named.id == reader
    return access in {"authuser", "anonymous"}

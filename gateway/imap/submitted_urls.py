"""Signed URLs that the submission server reads (RFC 4468): it asks as the message submission entity of RFC 4467 3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.model.ports import Clock
from gateway.store import inboxes
from gateway.store.db import Database, Rx
from gateway.submit.errors import UrlElsewhere, UrlRefused, UrlUnavailable
from gateway.wire.tokens import Malformed
from gateway.wire.url import parse_url

from . import url_parts
from .url_access import permitted
from .url_parts import Found

_NOTHING: Final = "The URL names nothing that can be read"


class SubmittedUrls:
    """One a process. `hostname`: this server's, to tell its URLs from those of others."""

    def __init__(self, db: Database, clock: Clock, hostname: str) -> None:
        self._db = db
        self._clock = clock
        self._hostname = hostname.lower()

    async def read(self, url: bytes, inbox: InboxId, /) -> AsyncIterator[bytes]:
        """The octets as they are stored, in pieces. UrlRefused, UrlElsewhere, UrlUnavailable."""
        found = await self._db.read(lambda rx: self._find(rx, url, inbox))
        try:
            async for octets in url_parts.read_part(self._db, found):
                yield octets
        except NotFound:
            raise UrlUnavailable(_NOTHING) from None

    def _find(self, rx: Rx, url: bytes, inbox: InboxId) -> Found:
        try:
            asked = parse_url(url)
        except Malformed:
            raise UrlUnavailable(_NOTHING) from None
        allowed = permitted(rx, url, int(self._clock()), reader=None)
        if allowed is None:
            if asked.server is None or asked.server.host != self._hostname:
                raise UrlElsewhere("The URL is another server's")
            raise UrlRefused("The URL is not signed for submission")
        permit = asked.authorization
        named = inboxes.inbox_by_address(rx, permit.user) if permit is not None else None
        if named is None or named.id != inbox:  # RFC 4468 3.3: signed for another user
            raise UrlRefused("The URL is signed for somebody else")
        try:
            return url_parts.find_part(rx, allowed[0], asked.mailbox or "", asked)
        except NotFound:
            raise UrlUnavailable(_NOTHING) from None

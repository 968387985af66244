"""BURL (RFC 4468): a message, or a piece of one, comes from the client's own mailboxes instead of over the wire.

The URL is signed for submission by this user (RFC 4467 `submit+`). What it names counts as a chunk, so BURL and BDAT
may take turns.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model.errors import GatewayError
from gateway.model.permissions import Principal

from .bdat import RESET_FIRST, ChunkingConnection
from .chunks import Chunks

_BURL: Final = re.compile(rb"([!-~]+)(?:[ \t]+(LAST))?\Z", re.IGNORECASE)


def parse_burl(argument: bytes) -> tuple[bytes, bool] | None:
    """(URL, LAST); None for what is neither."""
    found = _BURL.match(argument)
    return (found[1], found[2] is not None) if found is not None else None


class UrlConnection(ChunkingConnection):
    """A connection that takes messages by BURL too."""

    _principal: Principal | None

    @property
    def _burl_keyword(self) -> str | None:
        """For EHLO: without a login nobody has mailboxes here (RFC 4468 3.1); None: not offered."""
        if self.services.urls is None:
            return None
        return "BURL imap" if self.logged_in else "BURL"

    async def _burl(self, argument: bytes) -> None:
        urls, principal = self.services.urls, self._principal
        if urls is None or principal is None:
            self._fail("502 5.5.1 BURL is not offered here")
            return
        asked = parse_burl(argument)
        refusal = "501 5.5.4 Syntax: BURL URL [LAST]" if asked is None else self._no_message()
        if self._spoilt:
            refusal = RESET_FIRST
        if asked is None or refusal is not None:
            if self._in_transaction:
                self._spoil()
            self._fail(refusal or RESET_FIRST)
            return
        url, last = asked
        chunks = self._chunks
        if chunks is None:
            acceptance, binary = self._begin()
            chunks = self._chunks = Chunks(acceptance, binary=binary)
        before = self._received
        try:
            async for piece in urls.read(url, principal.inbox_id):
                if self._received + len(piece) > self.settings.max_message_size:
                    self._spoil()
                    self._fail("554 5.3.4 Message too big for system")
                    return
                await chunks.write(piece)
                if chunks.refused:
                    break  # unlike a chunk's octets, these need not be read to their end
        except GatewayError:
            self._spoil()  # RFC 4468 3.2: the whole transaction fails
            raise
        if self._received == before:
            self._count_idle()
        await self._have(chunks, last, "250 2.5.0 Waiting for additional BURL or BDAT commands")

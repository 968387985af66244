"""Octets of messages in both directions, in pieces: a message or one part of it out, a message in."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Final

from gateway import mime
from gateway.model.errors import InvalidRequest, NotFound, TooBig
from gateway.model.sequence import Ranges, contains, count
from gateway.upstream.errors import Closed, Refused, UpstreamError
from gateway.upstream.numbers import MAX_UID
from gateway.upstream.values import Appended, ListedMailbox, MailboxStatus
from gateway.upstream.wants import SearchWants

from .errors import ValidityChanged
from .ranges import Chosen
from .reading import Reading
from .values import Filed, MessageFacts

PART: Final = re.compile(r"[1-9][0-9]{0,3}(?:\.[1-9][0-9]{0,3}){0,30}\Z")
_HEADER: Final = 65_536  # octets at the beginning in which the Message-ID is looked for
_SMALL: Final = 262_144  # octets of a header that is read as a whole


class Transfers(Reading):
    """See `RemoteActions`."""

    async def message(
        self, mailbox: str, wanted: Chosen, *, expect: int | None = None
    ) -> tuple[str, int, MessageFacts]:
        """(folder, UIDVALIDITY, facts) of one message, whose folder is selected then. NotFound; InvalidRequest."""
        folder = await self.folder(mailbox)
        selected = await self.select(folder, expect)
        uids = await self.uids(wanted)
        if count(uids) != 1:
            raise InvalidRequest("Name one message")
        found = [one async for one in self.facts(uids)]
        if not found:
            raise NotFound(f"The server gives nothing of message {uids[0][0]}, or it is gone")
        return folder.name, selected.uidvalidity, found[0]

    def octets(self, uid: int, part: str = "", *, decoded: bool = False) -> AsyncGenerator[bytes, None]:
        """A message of the selected folder, or its `part` (`2.1`), as it is or without its transfer encoding.

        Whoever stops early closes it (`contextlib.aclosing`) and loses the connection. InvalidRequest; NotFound.
        """
        if part and PART.match(part) is None:
            raise InvalidRequest(f"{part} is no number of a part: 1, 2.1 …")
        if decoded and not part:
            raise InvalidRequest("A whole message has no transfer encoding; name a part")
        return self._octets(uid, part, decoded=decoded)

    async def _octets(self, uid: int, part: str, *, decoded: bool) -> AsyncGenerator[bytes, None]:
        decoder = await self._decoder(uid, part) if decoded else None
        empty = True
        try:
            async with aclosing(self._client.fetch_part(uid, part)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    empty = False
                    if (octets := chunk if decoder is None else decoder.feed(chunk)):
                        yield octets
        except Refused as error:
            if error.said or error.code:
                raise
            raise NotFound(f"Message {uid} has no part {part}" if part else f"Message {uid} is gone") from None
        if part and empty and not await self._header_of(uid, part):  # Dovecot shows a part that is not there as empty
            raise NotFound(f"Message {uid} has no part {part}")
        if decoder is not None and (rest := decoder.finish()):
            yield rest

    async def _decoder(self, uid: int, part: str) -> mime.Decoder:
        """InvalidRequest for an encoding that nobody knows."""
        fields = await self._header_of(uid, part)
        decoder = mime.decoder_for(fields.get(b"content-transfer-encoding", b"").strip())
        if decoder is None:
            raise InvalidRequest(f"Part {part} has a transfer encoding that is unknown: take it as it is")
        return decoder

    async def _header_of(self, uid: int, part: str) -> dict[bytes, bytes]:
        """The part's own; the first part of what is no multipart has that of the message around it. {}: no such."""
        around, _, last = part.rpartition(".")
        told = await self._fields(uid, f"{part}.MIME")
        if not told and last == "1":
            told = await self._fields(uid, f"{around}.HEADER" if around else "HEADER")
            if told.get(b"content-type", b"").strip().lower().startswith(b"multipart/"):
                return {}
        return told

    async def _fields(self, uid: int, section: str) -> dict[bytes, bytes]:
        """The fields of a header, the first of each name; none where the server has no such section."""
        header = bytearray()
        try:
            async for chunk in self._client.fetch_part(uid, section):
                if len(header) < _SMALL:
                    header += chunk
        except Refused:
            return {}
        return {field.name.lower(): field.value for field in reversed(mime.fields(bytes(header)))}

    async def append(
        self, mailbox: str, size: int, octets: AsyncIterator[bytes], *, flags: Collection[str] = (),
        date: int | None = None, expect: int | None = None,
    ) -> Filed:  # fmt: skip
        """Put a message of `size` octets (lines end with CRLF) into a folder; `date` in Unix seconds, else now.

        TooBig: the server says so before anything is sent. A connection that ends behind the last octet leaves it open
        whether the message was kept: another one looks for it, by its Message-ID; the error says so where that cannot
        be told.
        """
        if size <= 0:
            raise InvalidRequest("The message is empty")
        folder = await self.folder(mailbox)
        before = await self.standing(folder, ("UIDVALIDITY", "UIDNEXT"))
        validity = before.uidvalidity or 0
        if expect is not None and validity != expect:
            raise ValidityChanged(folder.name, expect, validity)
        passing = _Passing(octets)
        try:
            told = await self._client.append(folder.raw, flags, date, size, passing.octets())
        except Refused as error:
            if error.code == "TOOBIG":
                raise TooBig(f"{error}") from None
            raise
        except Closed as error:
            if passing.passed < size:
                raise
            told = await self._kept(folder, before, passing.message_id(), error)
        if told is None:
            told = await self._filed(folder, before.uidnext, passing.message_id())
        return Filed(folder.name, told.uidvalidity if told else validity, told.uid if told else None, size)

    async def _kept(
        self, folder: ListedMailbox, before: MailboxStatus, message_id: str, error: Closed
    ) -> Appended:
        """Where the message is that was sent when the connection ended; else `error`, with what is known."""
        if before.uidnext and message_id:
            try:
                await self.reconnect()
                if await self.validity(folder) == before.uidvalidity:
                    told = await self._filed(folder, before.uidnext, message_id)
                    if told is not None:
                        return told
                    error.add_note("The message is not there.")
                    raise error
            except UpstreamError as other:
                if other is error:
                    raise
        error.add_note("Whether the server kept the message is not known: search for it before trying again.")
        raise error

    async def _filed(self, folder: ListedMailbox, after: int | None, message_id: str) -> Appended | None:
        """Where a message is that the server gave no UID of: by its Message-ID, among those that came since."""
        if not message_id:
            return None
        since: Ranges | None = ((after, MAX_UID),) if after else None
        selected = await self.select(folder)
        found = await self.search_uids(SearchWants(uids=since, header=(("Message-ID", message_id),)))
        last = found[-1][1] if found else 0
        if not last or (since is not None and not contains(since, last)):
            return None
        return Appended(selected.uidvalidity, last)


class _Passing:
    """Octets on their way; their beginning is remembered."""

    def __init__(self, octets: AsyncIterator[bytes]) -> None:
        self._octets = octets
        self._start = bytearray()
        self.passed = 0

    async def octets(self) -> AsyncIterator[bytes]:
        async for chunk in self._octets:
            self._start += chunk[: max(0, _HEADER - len(self._start))]
            self.passed += len(chunk)
            yield chunk

    def message_id(self) -> str:
        """"" where it has none that can be asked for."""
        header = bytes(self._start).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        found = next((field.value for field in mime.fields(header) if field.name.lower() == b"message-id"), b"")
        text = mime.decode_text(found).strip()
        return text if text.isascii() and text.isprintable() else ""

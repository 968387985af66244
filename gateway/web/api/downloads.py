"""Octets out of the store as responses: one range at most (RFC 9110 14), a tag for what never changes, no script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.access.octets import Stream
from gateway.store.db import Database
from gateway.web import problems

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,18})[ \t]*-[ \t]*(\d{0,18})[ \t]*\Z", re.IGNORECASE)
_UNSAFE: Final = re.compile(r'[^ !#$%&()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]')
_SANDBOX: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def window(header: str | None, size: int) -> tuple[int, int] | bool | None:
    """[first, last) that a Range field asks for; None: all, for there is none or it is not understood (RFC 9110 14.2:
    several ranges may be ignored); False: none of it is there (416)."""
    match = _RANGE.match(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    low, high = match.groups()
    if not low:
        if not size and int(high):
            return None  # all of nothing, which no Content-Range can say
        count = min(int(high), size)
        return (size - count, size) if count else False
    first = int(low)
    if high and int(high) < first:
        return None  # RFC 9110 14.1.1: an invalid int-range makes the field invalid
    if first >= size:
        return False
    return first, min(int(high) + 1, size) if high else size


def download(request: Request, db: Database, stream: Stream, name: str | None) -> Response:
    """200, 206, 304 or 416."""
    tag = f'"{stream.tag}"'
    sent = {
        "ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache",
        "Content-Security-Policy": _SANDBOX,
    }  # fmt: skip
    if _named(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=sent)
    wanted = request.headers.get("range")
    if wanted is not None and request.headers.get("if-range", tag).strip() != tag:
        wanted = None
    part = window(wanted, stream.size)
    if part is False:
        kind = problems.kind_of_status(416)
        return problems.response(kind, f"There are {stream.size} octets", headers={
            "Content-Range": f"bytes */{stream.size}", "Accept-Ranges": "bytes",
        })  # fmt: skip
    first, last = part if isinstance(part, tuple) else (0, stream.size)
    sent |= {"Content-Length": str(last - first), "Content-Disposition": disposition(name)}
    status = 200
    if isinstance(part, tuple):
        status = 206
        sent["Content-Range"] = f"bytes {first}-{last - 1}/{stream.size}"
    return StreamingResponse(stream.pieces(db, first, last), status, sent, media_type=stream.type)


def disposition(name: str | None) -> str:
    """Always to be saved, never shown; the name twice, for those who know RFC 8187 and those who don't."""
    if not name:
        return "attachment"
    plain = _UNSAFE.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _named(header: str | None, tag: str) -> bool:
    """If-None-Match (RFC 9110 13.1.2), compared weakly."""
    if header is None:
        return False
    tags: Iterable[str] = (each.strip().removeprefix("W/") for each in header.split(","))
    return any(each in (tag, "*") for each in tags)

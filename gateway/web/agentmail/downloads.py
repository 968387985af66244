"""Octets behind URLs that need no key: what a program hands to a browser, or fetches by any HTTP client.

A URL names the key that asked for it, the message and the part, until when, and an HMAC of these under what the store
keeps of that key: it opens no more than the key does, ends with it, and nothing is stored for it.
"""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.access import octets
from gateway.access.caller import Caller, caller
from gateway.access.digest import Digest
from gateway.model.errors import NotFound
from gateway.store import keys
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow
from gateway.web.api.downloads import download
from gateway.web.api.parts import Services
from gateway.web.services import WebServices

from .parts import Theirs, moment
from .values import AttachmentOut, attachment

LIFETIME_S: Final = 3600
RAW: Final = ""
"""The part that stands for the whole message."""
PATH: Final = "/downloads/"
_GONE: Final = "No such download, or its time is over"
router = APIRouter(tags=["downloads"])


class Download(Theirs):
    size: int
    download_url: str
    expires_at: datetime


class AttachmentPlace(AttachmentOut):
    download_url: str
    expires_at: datetime


async def raw_download(services: WebServices, who: Caller, inbox: Inbox, message_id: str) -> dict[str, Any]:
    """`download_url` and `expires_at`."""
    return await _place(services, who, inbox, message_id, RAW)


async def attachment_download(
    services: WebServices, who: Caller, inbox: Inbox, message_id: str, says: Digest, attachment_id: str
) -> AttachmentPlace:
    """NotFound."""
    found = next((one for one in says.attachments if one.part == attachment_id), None)
    if found is None:
        raise NotFound("No such attachment")
    place = await _place(services, who, inbox, message_id, attachment_id)
    return AttachmentPlace(**attachment(found).model_dump(), **place)


async def _place(
    services: WebServices, who: Caller, inbox: Inbox, message_id: str, part: str
) -> dict[str, Any]:
    key = await services.db.tiny(lambda rx: keys.key_by_id(rx, who.key_id))
    if key is None:
        raise NotFound("No such key")
    ends = int(services.clock()) + LIFETIME_S
    name = _encoded(json.dumps([key.key_id, inbox.uuid, message_id, part, ends], separators=(",", ":")).encode())
    url = f"{services.settings.base_url}{PATH}{name}.{_proof(key, name)}"
    return {"download_url": url, "expires_at": moment(ends)}


@router.get(f"{PATH}{{ticket}}", response_class=Response, responses={
    200: {"content": {"application/octet-stream": {}}, "description": "A message, or a part of it, decoded"},
    206: {"content": {"application/octet-stream": {}}, "description": "The range that was asked for"},
})  # fmt: skip
async def get_download(request: Request, services: Services, ticket: str) -> Response:
    """A message or attachment, by a URL that another answer gave."""
    name, _, proof = ticket.partition(".")
    said = _said(name)
    if said is None:
        raise NotFound(_GONE)
    key_id, inbox, message_id, part, ends = said
    now = services.clock()

    def query(rx: Rx) -> KeyRow | None:
        return keys.key_by_key_id(rx, key_id)

    key = await services.db.tiny(query)
    if key is None or not hmac.compare_digest(_proof(key, name).encode(), proof.encode()):
        raise NotFound(_GONE)
    if ends <= now or not key.usable(now):
        raise NotFound(_GONE)
    who = caller(key)
    if part == RAW:
        stream = await octets.raw(services.db, who, inbox, message_id)
        return download(request, services.db, stream, f"{message_id}.eml")
    stream = await octets.part(services.db, who, inbox, message_id, part)
    return download(request, services.db, stream, stream.file_name)


def _said(name: str) -> tuple[str, str, str, str, int] | None:
    try:
        key_id, inbox, message_id, part, ends = json.loads(base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)))
    except (ValueError, TypeError, RecursionError):
        return None
    if not all(isinstance(one, str) for one in (key_id, inbox, message_id, part)) or type(ends) is not int:
        return None
    return key_id, inbox, message_id, part, ends


def _proof(key: KeyRow, name: str) -> str:
    return _encoded(hmac.digest(b"download\0" + key.hash.encode(), name.encode(), sha256))


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")

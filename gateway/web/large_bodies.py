"""Routes whose bodies hold files, as JSON or as a form: what takes long with them does not happen on the loop."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from gateway.model.errors import InvalidRequest

LARGE: Final = 65_536
MAX_FILES: Final = 500
MAX_MESSAGE: Final = 16 << 20
"""Octets of a form's field; a body as a whole has a limit of its own."""
_PIECE: Final = 4 * 65_536
"""Characters of base64 decoded at once: each call into C keeps other threads waiting."""
_OCTETS: Final = 3 * 65_536
"""Encoded at once: without padding between two pieces."""


_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


class _Request(Request):
    async def json(self) -> Any:
        return await _json(await self.body())


async def _json(octets: bytes | str) -> Any:
    """JSONDecodeError, RecursionError."""
    return json.loads(octets) if len(octets) <= LARGE else await asyncio.to_thread(_loaded, octets)


def _loaded(octets: bytes | str) -> Any:
    """Python's own decoder takes 35 ms for 14 MB without letting another thread run, this one 5."""
    try:
        return _JSON.validate_json(octets)
    except ValueError:
        raise json.JSONDecodeError("no JSON", "", 0) from None


_FORM: Final[dict[str, Any]] = {"requestBody": {"content": {"multipart/form-data": {"schema": {
    "type": "object", "description": "`message`: the JSON that would be sent otherwise; files are further attachments",
    "properties": {"message": {"type": "string", "contentMediaType": "application/json"}},
    "additionalProperties": {"type": "string", "format": "binary"},
}}}}}  # fmt: skip
"""What the document says besides JSON, of what takes attachments."""


class LargeBodyRoute(APIRoute):
    """For `APIRouter(route_class=…)`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        model = None if self.body_field is None else self.body_field.field_info.annotation
        if "attachments" in getattr(model, "model_fields", ()):
            self.openapi_extra = _FORM

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
                return await handler(_json_of(request, await _form(request)))
            return await handler(_Request(request.scope, request.receive))

        return handle


async def _form(request: Request) -> bytes:
    """The body that would have been sent as JSON: a form's `message` is that, its files are further attachments.

    It depends on nothing else: the same request sent again has another boundary. InvalidRequest.
    """
    async with request.form(max_files=MAX_FILES, max_fields=1, max_part_size=MAX_MESSAGE) as form:
        files: list[dict[str, Any]] = []
        message: Any = "{}"
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.append(await _file(value))
            elif name == "message":
                message = value
            else:
                raise InvalidRequest("A form holds message (JSON) and files")
    try:
        body = await _json(message)
    except (ValueError, RecursionError):
        raise InvalidRequest("message is no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("attachments", []), list):
        raise InvalidRequest("message is no object with a list of attachments")
    if files:
        body["attachments"] = [*body.get("attachments", []), *files]
    return await asyncio.to_thread(lambda: json.dumps(body).encode())


async def _file(value: UploadFile) -> dict[str, Any]:
    pieces = []
    while piece := await value.read(_OCTETS):
        pieces.append(base64.b64encode(piece))
    return {
        "file_name": value.filename or None, "content_type": value.content_type or None,
        "content": b"".join(pieces).decode("ascii"),
    }  # fmt: skip


def _json_of(request: Request, octets: bytes) -> _Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": octets, "more_body": False}

    kept = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    return _Request({**request.scope, "headers": [*kept, (b"content-type", b"application/json")]}, receive)


async def decoded(field: str, text: str) -> bytes:
    """Base64, standard or URL-safe, with or without padding and line ends. InvalidRequest names the field."""
    return _decoded(field, text) if len(text) <= LARGE else await asyncio.to_thread(_decoded, field, text)


def _decoded(field: str, text: str) -> bytes:
    try:
        plain = "".join(text.split()) if any(blank in text for blank in " \r\n\t") else text
        octets = plain.encode("ascii").rstrip(b"=")
        for url_safe, standard in ((b"-", b"+"), (b"_", b"/")):
            if url_safe in octets:  # hardly ever, and to translate takes as long as to decode
                octets = octets.replace(url_safe, standard)
        octets += b"=" * (-len(octets) % 4)
        pieces = [base64.b64decode(octets[at : at + _PIECE], validate=True) for at in range(0, len(octets), _PIECE)]
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidRequest(f"{field} is no base64") from None
    return b"".join(pieces)

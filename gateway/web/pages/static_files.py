"""Style and script of the pages: read once, named by what is in them, so that browsers keep them for good."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.model.errors import NotFound
from gateway.web.services import WebServices

router = APIRouter(include_in_schema=False)

_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@cache
def content(name: str) -> bytes:
    """NotFound."""
    if name not in {file.name for file in files("gateway.web.pages").joinpath("static").iterdir()}:
        raise NotFound("No such file")
    return files("gateway.web.pages").joinpath("static", name).read_bytes()


@cache
def address(name: str) -> str:
    """Where pages find a file: its path changes with its octets."""
    return f"/static/{hashlib.sha256(content(name)).hexdigest()[:12]}/{name}"


@router.get("/static/{version}/{name}")
async def static(version: str, name: str) -> Response:
    octets = content(name)
    kept = "public, max-age=31536000, immutable" if address(name) == f"/static/{version}/{name}" else "no-cache"
    return Response(octets, media_type=_TYPES[name.rpartition(".")[2]], headers={"Cache-Control": kept})


@router.get("/ca.pem")
async def authority(request: Request) -> Response:
    """The certificate that clients must trust first; no secret. NotFound where they trust the server's anyhow."""
    services: WebServices = request.app.state.services
    found = await asyncio.to_thread(services.setup.ca)
    if found is None:
        raise NotFound("Clients trust the certificate as it is")
    return Response(
        ssl.DER_cert_to_PEM_cert(found), media_type="application/x-pem-file",
        headers={"Content-Disposition": 'attachment; filename="ca.pem"'},
    )

"""What doctor finds, and how the server is. For keys that open everything."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.model.errors import NotFound

from .shell import Person

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def health_page(person: Person) -> Response:
    if not person.who.may_all:
        raise NotFound("No such page")
    person.who.need("metrics_read")
    status = await person.services.operate("server.status", {})
    findings = await person.services.findings()
    return person.page("health.html", title="Health", status_of=status, findings=findings)

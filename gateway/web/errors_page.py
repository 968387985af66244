"""Where the documents of errors lead, as `type` and `docs`: each code, and what helps. No key is asked for."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from . import problems
from .pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get(problems.DOCS.rstrip("#"))
async def errors() -> Response:
    return page("errors.html", title="Errors of the API", found=sorted(problems.by_code().items()))

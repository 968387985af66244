"""Parameters that nobody knows are a mistake, and said: a filter with a slip in its name would let everything pass."""

from __future__ import annotations

from typing import Any, Final

from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Param, ParamTypes
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

MOST: Final = 20
"""Names of one answer."""


async def known_parameters(connection: HTTPConnection) -> None:
    """RequestValidationError names those of the address that the endpoint does not take. For a whole router."""
    route = connection.scope["route"]
    if not connection.query_params or not isinstance(route, APIRoute):
        return
    infos = ((field.alias, field.field_info) for field in get_flat_params(route.dependant))
    taken = {name for name, info in infos if isinstance(info, Param) and info.in_ is ParamTypes.query}
    if unknown := [name for name in dict.fromkeys(connection.query_params) if name not in taken]:
        raise RequestValidationError([_error(name) for name in unknown[:MOST]])


def _error(name: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ("query", name[:100]), "msg": "Extra inputs are not permitted"}

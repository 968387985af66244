"""What OpenAPI documents say of refusals, by what an operation takes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from gateway.web.described import FIELD, Described, problem_schema

router = APIRouter()


class Body(BaseModel):
    name: str


@router.get("/open")
async def opened() -> dict[str, str]:
    return {}


@router.get("/things", responses={409: {"description": "It is switched off"}})
async def things(since: Annotated[int | None, Query(ge=0)] = None) -> dict[str, str]:
    return {}


@router.post("/things/{thing}")
async def made(request: Request, body: Body) -> dict[str, str]:
    """The path's parameter is read off the request."""
    return {}


@router.get("/octets/{thing}", response_class=Response, responses={206: {"description": "A range"}})
async def octets(thing: str) -> Response:
    return Response()


def document(wrong: int = 422) -> dict[str, Any]:
    app = Described(
        title="x", openapi_url="/openapi.json", problem=problem_schema(FIELD), open_paths=frozenset({"/open"}),
        wrong=wrong,
    )  # fmt: skip
    app.include_router(router)
    return app.openapi()


def refusals(operation: dict[str, Any]) -> set[int]:
    return {int(status) for status in operation["responses"] if status >= "400"}


def test_refusals_follow_from_what_is_taken() -> None:
    paths = document()["paths"]
    assert refusals(paths["/open"]["get"]) == {429, 431, 503}
    assert refusals(paths["/things"]["get"]) == {401, 403, 404, 409, 422, 429, 431, 503}
    assert refusals(paths["/things/{thing}"]["post"]) == {401, 403, 404, 409, 413, 422, 429, 431, 503}
    assert refusals(paths["/octets/{thing}"]["get"]) == {401, 403, 404, 416, 422, 429, 431, 503}
    assert 400 in refusals(document(wrong=400)["paths"]["/things"]["get"])


def test_each_is_a_problem_document_and_nothing_of_the_framework_s_is_left() -> None:
    made = document()
    for methods in made["paths"].values():
        for operation in methods.values():
            for status in refusals(operation):
                content = operation["responses"][str(status)]["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert set(made["components"]["schemas"]) == {"Body", "Problem"}


def test_keys_and_parameters() -> None:
    made = document()
    assert made["security"] == [{"bearer": []}, {"key": []}]
    assert made["paths"]["/open"]["get"]["security"] == []
    assert "security" not in made["paths"]["/things"]["get"]
    [since] = made["paths"]["/things"]["get"]["parameters"]
    assert (since["schema"]["type"], since["schema"]["minimum"]) == ("integer", 0), "no query says null"
    [thing] = made["paths"]["/things/{thing}"]["post"]["parameters"]
    assert (thing["name"], thing["in"], thing["required"]) == ("thing", "path", True)


def test_it_is_made_once() -> None:
    app = Described(title="x", openapi_url="/openapi.json", problem=problem_schema(FIELD))
    assert app.openapi() is app.openapi()

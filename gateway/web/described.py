"""OpenAPI documents that say all: besides what an operation answers when it succeeds, each refusal it may answer with,
and how a key is sent.

An operation need not say most of that: it follows from what it takes, and of the rest a status is enough. What is
never answered is not in the document either: who meets a status that is not there has found a defect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI

from . import problems

PROBLEM: Final = "Problem"
_ERRORS_OF_FASTAPI: Final = ("HTTPValidationError", "ValidationError")
_REFERENCE: Final = {"$ref": f"#/components/schemas/{PROBLEM}"}
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key"},
}
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_LARGE: Final = frozenset({"post", "put", "patch"})

FIELD: Final[dict[str, Any]] = {
    "type": "object", "required": ["field", "reason"],
    "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
}  # fmt: skip


def problem_schema(field: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """Of problem documents; `field`: of each of `errors`; `more`: further members, which are texts."""
    texts = ("type", "title", "code", "detail", "fix", "docs", *more)
    return {
        "type": "object", "description": "What went wrong (RFC 9457). `code`: for programs; `fix`: what helps.",
        "required": [*texts, "status"],
        "properties": {
            **{name: {"type": "string"} for name in texts}, "status": {"type": "integer"},
            "errors": {"type": "array", "items": dict(field), "description": "Which fields are wrong, and how"},
        },
    }  # fmt: skip


class Described(FastAPI):
    """An application whose document is `complete`.

    `problem`: the schema of its problem documents; `open_paths`: where no key is asked for; `wrong`: status of what is
    wrong about a value.
    """

    def __init__(
        self, *, problem: dict[str, Any], open_paths: frozenset[str] = frozenset(), wrong: int = 422, **options: Any
    ) -> None:
        # No pages of FastAPI's own: they load scripts from elsewhere.
        super().__init__(docs_url=None, redoc_url=None, redirect_slashes=False, **options)
        self._problem = problem
        self._open_paths = open_paths
        self._wrong = wrong
        self._document: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        if self._document is None:
            self._document = super().openapi()
            complete(self._document, self._problem, self._open_paths, self._wrong)
        return self._document


def complete(document: dict[str, Any], problem: dict[str, Any], open_paths: frozenset[str], wrong: int) -> None:
    """Add what the framework does not say, in place."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _ERRORS_OF_FASTAPI:
        schemas.pop(name, None)
    schemas[PROBLEM] = problem
    components["securitySchemes"] = _SCHEMES
    document["security"] = [{name: []} for name in _SCHEMES]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method not in _METHODS:
                continue
            if path in open_paths:
                operation["security"] = []
            _name_parameters(path, operation)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            said = operation["responses"]
            refusals = {int(status) for status, answer in said.items() if status >= "400" and not _is_ours(answer)}
            refusals |= set(_statuses(path, method, operation, wrong, keyed=path not in open_paths))
            operation["responses"] = {status: answer for status, answer in said.items() if status < "400"}
            operation["responses"] |= {str(status): _answer(status) for status in sorted(refusals)}


def _name_parameters(path: str, operation: dict[str, Any]) -> None:
    """What a path names and no function takes by itself: it is read off the request."""
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
    for name in _IN_PATH.findall(path):
        if name not in known:
            taken = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            operation.setdefault("parameters", []).append(taken)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """No URL and no header can say null: what may be missing is just left out."""
    forms = [form for form in schema.get("anyOf", ()) if form.get("type") != "null"]
    if not forms:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return rest | (forms[0] if len(forms) == 1 else {"anyOf": forms})


def _is_ours(answer: Mapping[str, Any]) -> bool:
    """The framework's own refusal of values, which is never sent."""
    content = answer.get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).endswith(_ERRORS_OF_FASTAPI[0])


def _statuses(path: str, method: str, operation: Mapping[str, Any], wrong: int, *, keyed: bool) -> Iterator[int]:
    """What an operation may be refused with, by what it takes and does."""
    yield from (429, 431, 503)
    if keyed:
        yield from (401, 403)
    takes = bool(operation.get("parameters")) or "requestBody" in operation
    if takes:
        yield from (404, 422, wrong)
    if method != "get":
        yield 409
    if method in _LARGE:
        yield 413
    if "206" in operation["responses"]:
        yield 416
    kinds = operation.get("requestBody", {}).get("content", {}).keys()
    if kinds - {"application/json"}:
        yield 400  # cut off, or a form that is none
        if "application/json" not in kinds:
            yield 415


def _answer(status: int) -> dict[str, Any]:
    return {
        "description": problems.kind_of_status(status).title,
        "content": {problems.MEDIA_TYPE: {"schema": _REFERENCE}},
    }

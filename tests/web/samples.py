"""What the OpenAPI documents offer, and values that they say are valid: the least that each operation takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.model.permissions import BUNDLES
from tests.support.api import Api

DOCUMENTS = ("/api/v1/openapi.json", "/agentmail/openapi.json")
METHODS = ("get", "post", "put", "patch", "delete")
Document = dict[str, Any]
Operation = tuple[str, str, dict[str, Any]]
"""Method, path, and what the document says of it."""


def offered(api: Api) -> Iterator[tuple[Document, Operation]]:
    """Each operation of native API, MailSlurp's and AgentMail's, with the document that it stands in."""
    for place in DOCUMENTS:
        document = api.get(place)
        below = document.get("servers", [{"url": ""}])[0]["url"]
        for path, methods in document["paths"].items():
            for method, said in methods.items():
                if method in METHODS:
                    yield document, (method.upper(), below + path, said)


def named(said: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Parameter -> its schema."""
    return {each["name"]: each["schema"] for each in said.get("parameters", ()) if each["in"] == place}


def body_of(said: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Its first content type, and that one's schema."""
    for kind, value in (said.get("requestBody") or {}).get("content", {}).items():
        return kind, value.get("schema", {})
    return None


GIVEN: Mapping[str, Any] = {"permissions": list(BUNDLES), "address": "somebody@ours.test", "recipient": "a@b.test"}
"""What a schema cannot say: values by the name of their field."""


class Samples:
    """Of one document. `ids`: values of fields and parameters by name, wherever one of that name is taken; `own`: of
    those that must be given."""

    def __init__(self, document: Mapping[str, Any], ids: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        self._document = document
        self._ids = ids
        self._known = {**own, **ids}

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            found: Any = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema

    def value(self, schema: Mapping[str, Any], name: str = "") -> Any:
        """The least that is valid; with what `ids` says of a field that may be left out."""
        schema = self.resolved(schema)
        if "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
            forms = [self.resolved(form) for key in ("anyOf", "oneOf", "allOf") for form in schema.get(key, ())]
            return self.value(next((form for form in forms if form.get("type") != "null"), forms[0]), name)
        kind = schema.get("type")
        if name in self._known and kind in ("string", "array", None):
            found = self._known[name]
            if kind == "array":
                return found if isinstance(found, list) else [found]
            if self._fits(found, schema) or name in self._ids:
                return found
        if name in GIVEN:
            return GIVEN[name]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if kind == "object":
            properties = schema.get("properties", {})
            asked = [key for key in properties if key in schema.get("required", ()) or key in self._ids]
            return {key: self.value(properties[key], key) for key in asked}
        if kind == "array":
            items = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
            return [self.value(items)] * schema.get("minItems", 0)
        if kind == "boolean":
            return False
        if kind in ("integer", "number"):
            return max(schema.get("minimum", 1), 1)
        if schema.get("examples"):
            return schema["examples"][0]
        return "x" * max(schema.get("minLength", 1), 1)

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        """One's own stands only where such a thing can be meant."""
        length = schema.get("maxLength", len(value))
        return len(value) <= length and re.search(schema.get("pattern", ""), value) is not None

    def names(self, schema: Mapping[str, Any]) -> set[str]:
        """Fields of an object."""
        return set(self.resolved(schema).get("properties", ()))

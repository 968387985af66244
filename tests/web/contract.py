"""What schemathesis is given: the product's OpenAPI documents, with names that nobody could guess put in.

Of that: ids of things that are there, hosts and URLs that lead nowhere, and times to wait that are over.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import APIOperation, Case, Config, GenerationMode, Response, SerializationContext
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from tests.support.gateway import HOST, Gateway

METHODS: Final = ("get", "post", "put", "patch", "delete")
STREAMS: Final = ("GET /api/v1/events", "GET /api/v1/inboxes/{inbox}/events")
"""Their answers have no end: the head and the first octets are looked at."""
TIMES: Final = ("timeout", "timeoutMillis", "retryTimeout", "delayTimeout")
"""Parameters that say how long to wait: it is over at once, also where they are left out; what is no time stays."""
LONGEST_MS: Final = 86_400_000
ALWAYS: Final = ("inboxId", "to", "emailAddress", "options", "provider")
"""Given in all that fits: what nobody says all of the rest without."""
BOUND: Final = ("/connectors", "/tools/test-smtp-server", "/webhooks", "/waitFor", "/wait-for", "getLatestEmail")
"""In paths of operations that dial or wait: all values of theirs are of the narrowed document, the wrong ones too. So
some that are wrong are right as the product sees them, and that it refuses them all is not asked."""
CONFORMS: Final = (
    "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip
REFUSED: Final = "negative_data_rejection"

Values = Mapping[str, list[Any]]


def narrowed(document: dict[str, Any], values: Values, paths: Mapping[str, Values]) -> dict[str, Any]:
    """The same with `values` of parameters and fields by name; `paths`: of path parameters, by the path's beginning."""
    made = copy.deepcopy(document)
    for path, methods in made["paths"].items():
        here = dict(values)
        for beginning, more in paths.items():
            if path.startswith(beginning):
                here |= more
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in here:
                    parameter["schema"] = _put(parameter["schema"], here[parameter["name"]])
                if parameter["name"] in ALWAYS:
                    parameter["required"] = True
    schemas = made["components"]["schemas"]
    bodies = [operation.get("requestBody") for methods in made["paths"].values() for operation in methods.values()]
    for schema in map(schemas.__getitem__, _reached(bodies, schemas)):
        for name, value in schema.get("properties", {}).items():
            if name in values:
                schema["properties"][name] = _put(value, values[name])
            if name in ALWAYS:
                schema["required"] = sorted({*schema.get("required", ()), name})
    return made


def _reached(part: Any, schemas: Mapping[str, Any]) -> set[str]:
    """Names of schemas that a part of a document refers to, of others by them too."""
    found: set[str] = set()
    left = [part]
    while left:
        names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(left.pop()))) - found
        found |= names
        left += [schemas[name] for name in names]
    return found


def _put(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """One of `values` wherever a text, a number or an object is taken."""
    if "anyOf" in schema:
        return schema | {"anyOf": [_put(form, values) for form in schema["anyOf"]]}
    if schema.get("type") == "array" and "items" in schema:
        return schema | {"items": _put(schema["items"], values)}
    if schema.get("type") in ("null", "boolean"):
        return schema
    return {"enum": values}


@schemathesis.serializer("message/rfc822")
def _octets(context: SerializationContext, value: Any) -> dict[str, Any]:
    return {"data": value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")}


class Contract:
    """The operations of one document on one gateway. `failures`: what broke it, each with what was sent."""

    def __init__(
        self, gateway: Gateway, key: str, document: dict[str, Any], values: Values, paths: Mapping[str, Values]
    ) -> None:
        load_all_checks()
        config = Config.from_dict({
            "generation": {"with-security-parameters": False},  # the key is the session's
            "checks": {REFUSED: {"expected-statuses": ["4xx"]}},
        })  # fmt: skip
        servers = document.get("servers", [{"url": ""}])
        self._base = f"https://{HOST}:{gateway.web}{servers[0]['url']}"
        self._ca = str(gateway.ca_file)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {key}"
        whole, narrow = [
            [each.ok() for each in schemathesis.openapi.from_dict(one, config=config).get_all_operations()]
            for one in (document, narrowed(document, values, paths))
        ]
        self._whole = {each.label: each for each in whole}
        self._narrow = sorted(narrow, key=_turn)
        self.failures: list[str] = []
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)

    def close(self) -> None:
        self._session.close()

    def operations(self) -> Iterator[APIOperation]:
        """Those that destroy come last."""
        yield from self._narrow

    def hold(self, operation: APIOperation, count: int) -> None:
        """`count` requests of values that fit, as many of values that do not."""
        self._try(operation, GenerationMode.POSITIVE, count)
        whole = self._whole[operation.label]
        if not operation.query and not operation.body:  # a path's text is never wrong, but may be of nothing
            self._try(whole, GenerationMode.POSITIVE, count)
        elif any(part in operation.path for part in BOUND):
            self._try(operation, GenerationMode.NEGATIVE, count)
        else:
            self._try(whole, GenerationMode.NEGATIVE, count, REFUSED)

    def _try(self, operation: APIOperation, mode: GenerationMode, count: int, *more: str) -> None:
        checks = [CHECKS.get_one(name) for name in (*CONFORMS, *more)]

        @seed(1)
        @settings(
            max_examples=count, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(mode))
        def one(case: Case) -> None:
            response = self._sent(case)
            self.statuses[operation.label][response.status_code] += 1
            try:
                assert response.status_code != 500, response.text
                case.validate_response(response, checks=checks)
            except (AssertionError, FailureGroup) as error:
                self.failures.append(
                    f"{operation.label} {mode.value}: {_text(error)}\n  {case.as_curl_command()[:1000]}"
                    f"\n  {response.status_code} {response.text[:400]}"
                )

        one()

    def _sent(self, case: Case) -> Response:
        for parameter in case.operation.query:
            given = str(case.query.get(parameter.name, 0))
            if parameter.name in TIMES and given.isdecimal() and int(given) <= LONGEST_MS:
                case.query[parameter.name] = 0
        if "wait" in case.operation.path and isinstance(case.body, dict):
            case.body["timeout"] = 0
        if case.operation.label not in STREAMS:
            return case.call(self._base, self._session, verify=self._ca)
        sent = case.as_transport_kwargs(self._base) | {"verify": self._ca, "stream": True, "timeout": 60}
        with self._session.request(**sent) as answer:
            begun = next(answer.iter_content(65_536), b"")
            answer._content, answer._content_consumed = begun, True
            return Response.from_requests(answer, verify=True)


def _turn(operation: APIOperation) -> tuple[bool, int, int]:
    """What destroys things comes last, and then what holds others."""
    method = METHODS.index(operation.method.lower())
    gone = "delete" in operation.path or "disable" in operation.path or method == len(METHODS) - 1
    return gone, method, -len(operation.path) if gone else 0


def _text(error: BaseException) -> str:
    inner = getattr(error, "exceptions", ())
    return "; ".join(_text(one) for one in inner) if inner else f"{type(error).__name__}: {str(error)[:600]}"

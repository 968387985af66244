"""Errors as problem documents (RFC 9457): what happened, the code a program acts on, what helps, where it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import JSONResponse

from gateway.model import errors
from gateway.submit import errors as submitting

MEDIA_TYPE: Final = "application/problem+json"
DOCS: Final = "/docs/errors#"


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of failure: HTTP status, the code, a title, and what whoever meets it can do."""

    status: int
    code: str
    title: str
    fix: str


_KINDS: Final[tuple[tuple[type[errors.GatewayError], Kind], ...]] = (
    # The most special first: a class stands for those below it too.
    (errors.AuthenticationFailed, Kind(401, "unauthorized", "Not logged in", "Send an API key that is valid")),
    (errors.Throttled, Kind(429, "throttled", "Too many failed logins", "Wait, then use the right key")),
    (errors.NoPermission, Kind(403, "forbidden", "Not permitted", "Use a key that has the permission")),
    (errors.SenderNotAuthorized, Kind(
        403, "sender_not_authorized", "Not your address", "Send from an address of the key's inboxes")),
    (submitting.Blocked, Kind(403, "blocked", "A list forbids it", "Change the list, or leave the recipient out")),
    (submitting.RateExceeded, Kind(
        429, "send_limit", "Too much was sent", "Wait, or raise the limit of the inbox or the key")),
    (submitting.UnknownRecipient, Kind(422, "unknown_recipient", "No such recipient", "Correct the address")),
    (submitting.NoRoute, Kind(422, "no_route", "Mail cannot go there", "Set up a relay or a rule for that address")),
    (submitting.BadMessage, Kind(422, "bad_message", "It cannot be sent so", "Correct the message")),
    (errors.NotFound, Kind(404, "not_found", "Not found", "Check the id; another pod's things are not found either")),
    (errors.MailboxGone, Kind(404, "not_found", "Not found", "List the mailboxes again")),
    (errors.MessageGone, Kind(404, "not_found", "Not found", "List the messages again")),
    (errors.AlreadyExists, Kind(409, "already_exists", "Already exists", "Choose another name, or use what is there")),
    (errors.HasChildren, Kind(409, "conflict", "Has children", "Delete what lies below it first")),
    (errors.CannotChange, Kind(409, "conflict", "Cannot be changed", "See the detail")),
    (errors.ReadOnly, Kind(409, "conflict", "Read-only", "See the detail")),
    (errors.OverQuota, Kind(422, "over_quota", "The inbox is full", "Delete mail, or raise the quota")),
    (errors.TooBig, Kind(413, "too_large", "Too large", "Send less at once")),
    (errors.LimitReached, Kind(422, "limit_reached", "A limit is reached", "See the detail")),
    (errors.InvalidName, Kind(422, "invalid", "Not valid", "Correct the value")),
    (errors.InvalidRequest, Kind(422, "invalid", "Not valid", "Correct the value")),
    (errors.ConfigError, Kind(422, "invalid", "Not valid", "Correct the value")),
    (errors.TookTooLong, Kind(503, "took_too_long", "Took too long", "Ask for less at once")),
    (errors.Unavailable, Kind(503, "unavailable", "Not now", "Try again in a few seconds")),
)
_OTHER: Final = Kind(422, "refused", "Refused", "See the detail")
_BY_STATUS: Final[Mapping[int, Kind]] = {
    400: Kind(400, "bad_request", "Bad request", "Correct the request"),
    401: Kind(401, "unauthorized", "Not logged in", "Send an API key: Authorization: Bearer gw_…"),
    403: Kind(403, "forbidden", "Not permitted", "Use a key that has the permission"),
    404: Kind(404, "not_found", "Not found", "Check the path; GET /api/v1/openapi.json lists all"),
    405: Kind(405, "method_not_allowed", "Method not allowed", "Use a method that Allow names"),
    409: Kind(409, "conflict", "Conflict", "See the detail"),
    413: Kind(413, "too_large", "Too large", "Send less at once"),
    415: Kind(415, "wrong_content_type", "Wrong content type", "Send application/json"),
    416: Kind(416, "range_not_satisfiable", "No such range", "Ask for a range within the part"),
    422: Kind(422, "invalid", "Not valid", "Correct the fields that errors names"),
    429: Kind(429, "too_many_requests", "Too many requests", "Wait as long as Retry-After says"),
    431: Kind(431, "head_too_large", "Header too large", "Say less in the path, the query and the header"),
    500: Kind(500, "internal", "Internal error", "Tell the administrator the incident; the log has it too"),
    503: Kind(503, "unavailable", "Not now", "Try again in a few seconds"),
}


def kind_of(error: errors.GatewayError) -> Kind:
    return next((kind for known, kind in _KINDS if isinstance(error, known)), _OTHER)


def kind_of_status(status: int) -> Kind:
    return _BY_STATUS.get(status) or Kind(status, "error", "Error", "See the detail")


def by_code() -> dict[str, list[Kind]]:
    """All that may be answered."""
    found: dict[str, list[Kind]] = {}
    for kind in dict.fromkeys([*(kind for _, kind in _KINDS), _OTHER, *_BY_STATUS.values()]):
        found.setdefault(kind.code, []).append(kind)
    return found


def document(kind: Kind, detail: str, fields: Sequence[Mapping[str, str]] = (), **more: Any) -> dict[str, Any]:
    """`fields`: each with `field` (where the value stands) and `reason`."""
    made: dict[str, Any] = {
        "type": DOCS + kind.code, "title": kind.title, "status": kind.status, "code": kind.code, "detail": detail,
        "fix": kind.fix, "docs": DOCS + kind.code,
    }  # fmt: skip
    if fields:
        made["errors"] = list(fields)
    return made | more


def response(
    kind: Kind, detail: str, fields: Sequence[Mapping[str, str]] = (), headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    sent = dict(headers or {})
    if kind.status == 401:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="gateway"')
    if kind.status in (429, 503):
        sent.setdefault("Retry-After", "5")
    return JSONResponse(document(kind, detail, fields, **more), kind.status, sent, media_type=MEDIA_TYPE)


def of_error(error: errors.GatewayError) -> JSONResponse:
    """What a client is told of an expected failure; its text is safe to show."""
    # A window of an hour slides: whoever asks each five seconds gains nothing.
    wait = {"Retry-After": "60"} if isinstance(error, submitting.RateExceeded) else None
    return response(kind_of(error), str(error), headers=wait)

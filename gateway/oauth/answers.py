"""Answers of token endpoints -> values or errors of one class each. Pure; whatever came, no token is in an error.

RFC 6749 5.1 and 5.2, RFC 8628 3.2 and 3.5. What cannot be understood is transient: a grant is only over when the
provider says so in words that mean it, for a proxy's 400 or an outage's HTML has cost others all their logins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard

from gateway.model.errors import InvalidRequest
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpAnswer, usable_url

from . import advice
from .advice import Verdict
from .errors import AppMisconfigured, LoginRefused, OAuthError, Pending, ReauthRequired, Transient
from .providers import Provider
from .tokens import DeviceAnswer, TokenAnswer

MAX_TOKEN: Final = 16 * 1024
MAX_WAIT: Final = 3600.0
"""Seconds: a provider that says "later" is asked again after an hour, whatever it says."""
_LASTS: Final = 3600  # where none is said (RFC 6749 5.1 leaves it out), as long as all known providers give
_LONGEST: Final = 24 * 3600
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # RFC 6749 A.12, without blanks: it goes into a SASL response
_WORD: Final = re.compile(r"[a-z][a-z_.-]{0,60}")

_REAUTH: Final = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required",
                            "account_selection_required", "bad_token"})  # fmt: skip
_APP: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
                         "invalid_resource", "org_internal", "deleted_client", "disabled_client"})  # fmt: skip
_TRANSIENT: Final = frozenset({"temporarily_unavailable", "server_error", "rate_limit_exceeded", "internal_failure",
                               "too_many_requests"})  # fmt: skip
_OVER: Final[Mapping[str, str]] = {
    "access_denied": "The login was declined",
    "expired_token": "The code has expired before the login was finished: begin again",
    "authorization_declined": "The login was declined",
    "bad_verification_code": "The code is not known any more: begin again",
}


def token_answer(provider: Provider, answer: HttpAnswer, now: float, sent: Iterable[str] = ()) -> TokenAnswer:
    """The tokens, or an OAuthError, which shows nothing of what was `sent`."""
    values = _values(provider, answer, now, sent)
    access = values.get("access_token")
    if not _is_token(access):
        raise _unexpected(provider, "no access token")
    if str(values.get("token_type", "bearer")).lower() != "bearer":
        raise _unexpected(provider, "a token of another kind")
    refresh, identity, scope = values.get("refresh_token"), values.get("id_token"), values.get("scope")
    return TokenAnswer(
        access=access,
        lasts=_seconds(values.get("expires_in"), _LASTS, _LONGEST),
        refresh=refresh if _is_token(refresh) else None,
        scope=scope if isinstance(scope, str) and len(scope) <= MAX_TOKEN and scope.isprintable() else "",
        id_token=identity if _is_token(identity) else None,
    )


def device_answer(provider: Provider, answer: HttpAnswer, now: float) -> DeviceAnswer:
    """RFC 8628 3.2, or an OAuthError. The address that people are sent to must be https."""
    values = _values(provider, answer, now)
    code, user = values.get("device_code"), values.get("user_code")
    uri = values.get("verification_uri") or values.get("verification_url")
    complete = values.get("verification_uri_complete")
    if not _is_token(code) or not isinstance(user, str) or not 0 < len(user) <= 64 or not user.isprintable():
        raise _unexpected(provider, "no device code")
    if not _is_page(uri):
        raise _unexpected(provider, "no address to log in at")
    return DeviceAnswer(
        device_code=code,
        user_code=user,
        uri=uri,
        complete_uri=complete if _is_page(complete) else None,
        lasts=_seconds(values.get("expires_in"), 900, 3600),
        interval=max(1, _seconds(values.get("interval"), 5, 60)),
    )


def redirect_error(provider: Provider, code: str, description: str) -> OAuthError:
    """The error that a login page sent back (RFC 6749 4.1.2.1)."""
    return _error(provider, code if _WORD.fullmatch(code) else "", description, None)


def _values(provider: Provider, answer: HttpAnswer, now: float, sent: Iterable[str] = ()) -> dict[str, Any]:
    if answer.status == 429 or answer.status >= 500:
        failure = Failure.THROTTLED if answer.status == 429 else Failure.UNAVAILABLE
        what = "asks to come back later" if answer.status == 429 else "has an outage"
        raise Transient(
            failure, f"{provider.title} {what} ({answer.status})", code=str(answer.status),
            retry_after=retry_after(answer.headers.get("retry-after"), now),
        )
    if 300 <= answer.status < 400:
        raise _unexpected(provider, "a redirect, which is not followed")
    try:
        values = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _unexpected(provider, f"no JSON ({answer.status})") from None
    if not isinstance(values, dict):
        raise _unexpected(provider, f"no object ({answer.status})")
    code = values.get("error")
    if answer.status == 200 and code is None:
        return values
    described = values.get("error_description")
    raise _error(
        provider,
        code if isinstance(code, str) and _WORD.fullmatch(code) else "",
        described if isinstance(described, str) else "",
        retry_after(answer.headers.get("retry-after"), now),
        sent,
    )


def _error(
    provider: Provider, code: str, described: str, wait: float | None, sent: Iterable[str] = ()
) -> OAuthError:
    number, verdict, text = advice.aadsts(described) if provider.name == "microsoft" else ("", None, "")
    name = number or code
    said = f"{provider.title}: {name}: " if name else f"{provider.title}: "
    if code in {"authorization_pending", "slow_down"}:
        return Pending(slower=code == "slow_down")
    if code in _OVER:
        return LoginRefused(f"{said}{_OVER[code]}", code=name)
    if code in _TRANSIENT or verdict is Verdict.TRANSIENT:
        return Transient(Failure.UNAVAILABLE, f"{said}{text or 'it has an outage'}", code=name, retry_after=wait)
    words = advice.clean(described, sent) if not number else ""
    if verdict is Verdict.APP or (code in _APP and verdict is None):
        return AppMisconfigured(said + _joined(text or _app_advice(provider, code), words), code=name)
    if verdict is Verdict.REAUTH or code in _REAUTH:
        return ReauthRequired(said + _joined(text or _grant_advice(provider, described), words), code=name)
    return Transient(
        Failure.UNAVAILABLE, said + _joined("an error that is not known here", words), code=name, retry_after=wait
    )


def _joined(text: str, words: str) -> str:
    return f"{text} ({words})" if words else text


def _grant_advice(provider: Provider, described: str) -> str:
    if provider.name != "google":
        return advice.ANY_GRANT
    return advice.GOOGLE_USER if "Invalid email" in described else advice.GOOGLE_GRANT


def _app_advice(provider: Provider, code: str) -> str:
    if provider.name == "google" and code == "unauthorized_client":
        return advice.SERVICE_ACCOUNT
    if code == "invalid_scope":
        return "the application may not ask for these scopes"
    return "the client id or its secret is refused: check the application's registration"


def _unexpected(provider: Provider, what: str) -> Transient:
    return Transient(Failure.PROTOCOL, f"{provider.title} answered {what}")


def _is_token(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= MAX_TOKEN and _TOKEN.fullmatch(value) is not None


def _is_page(value: Any) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        usable_url(value)
    except InvalidRequest:
        return False
    return True


def _seconds(value: Any, default: int, most: int) -> int:
    """A number of seconds, which some providers write as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        return default
    return min(int(value), most)


def retry_after(value: str | None, now: float) -> float | None:
    """RFC 9110 10.2.3: seconds or a date -> seconds from now, an hour at most."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), MAX_WAIT)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at.timestamp() - now, 0.0), MAX_WAIT)

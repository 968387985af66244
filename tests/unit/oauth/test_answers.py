"""Answers of token endpoints: every octet sequence is tokens or one class of error, and shows nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth import advice, answers
from gateway.oauth.advice import AADSTS, Verdict
from gateway.oauth.errors import AppMisconfigured, LoginRefused, OAuthError, Pending, ReauthRequired, Transient
from gateway.oauth.providers import FASTMAIL, GOOGLE, Provider, microsoft
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpAnswer

NOW = 1_800_000_000.0
MICROSOFT = microsoft("common")


def answer(body: Any, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def tokens(**values: Any) -> HttpAnswer:
    return answer({"access_token": "secret-access", "token_type": "Bearer", **values})


@given(st.binary(max_size=300), st.integers(100, 599))
def test_any_octets_are_one_class_of_error(body: bytes, status: int) -> None:
    for read in (answers.token_answer, answers.device_answer):
        with pytest.raises(OAuthError):
            read(GOOGLE, answer(body, status), NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "error", "error_description",
     "device_code", "user_code", "verification_uri", "interval"]
)  # fmt: skip


@given(st.dictionaries(NAMES, JSON | st.just("bearer")), st.sampled_from([200, 400, 401]))
def test_any_json_is_tokens_or_an_error(values: dict[str, Any], status: int) -> None:
    try:
        found = answers.token_answer(MICROSOFT, answer(values, status), NOW)
    except OAuthError:
        pass
    else:
        assert found.access == values["access_token"]
        assert 0 < found.lasts <= 86_400
    try:
        device = answers.device_answer(MICROSOFT, answer(values, status), NOW)
    except OAuthError:
        pass
    else:
        assert device.uri.startswith("https://")


def test_tokens_show_nothing() -> None:
    found = answers.token_answer(GOOGLE, tokens(refresh_token="secret-refresh", id_token="a.b.c", expires_in=60), NOW)
    assert (found.access, found.refresh, found.lasts) == ("secret-access", "secret-refresh", 60)
    assert "secret" not in repr(found)
    assert "a.b.c" not in repr(found)
    assert "secret" not in repr(tokens())


@pytest.mark.parametrize(
    ("given", "lasts"),
    [(3599, 3599), ("3599", 3599), (3599.5, 3599), (None, 3600), ("soon", 3600), (-1, 3600), (0, 3600), (True, 3600),
     (10**15, 3600), (10**9, 86_400), ([1], 3600), ("٣", 3600), (float("nan"), 3600)],
)  # fmt: skip
def test_how_long_a_token_lasts(given: Any, lasts: int) -> None:
    assert answers.token_answer(GOOGLE, tokens(expires_in=given), NOW).lasts == lasts


@pytest.mark.parametrize(
    "values",
    [{"access_token": "two words"}, {"access_token": ""}, {"access_token": "new\nline"}, {"access_token": "ü"},
     {"access_token": "x" * 20_000}, {"access_token": 7}, {"token_type": "mac"}],
)  # fmt: skip
def test_what_is_no_token(values: dict[str, Any]) -> None:
    with pytest.raises(Transient) as caught:
        answers.token_answer(GOOGLE, tokens(**values), NOW)
    assert caught.value.failure == Failure.PROTOCOL


@pytest.mark.parametrize(
    ("provider", "code", "described", "kind"),
    [
        (GOOGLE, "invalid_grant", "Token has been expired or revoked.", ReauthRequired),
        (GOOGLE, "invalid_client", "", AppMisconfigured),
        (GOOGLE, "deleted_client", "", AppMisconfigured),
        (GOOGLE, "access_denied", "", LoginRefused),
        (GOOGLE, "expired_token", "", LoginRefused),
        (GOOGLE, "authorization_pending", "", Pending),
        (GOOGLE, "slow_down", "", Pending),
        (GOOGLE, "internal_failure", "", Transient),
        (GOOGLE, "invalid_request", "", Transient),
        (GOOGLE, "Invalid_Grant; DROP", "", Transient),
        (MICROSOFT, "invalid_grant", "AADSTS50196: loop", Transient),
        (MICROSOFT, "invalid_grant", "AADSTS90033: outage", Transient),
        (MICROSOFT, "invalid_grant", "AADSTS700016: app", AppMisconfigured),
        (MICROSOFT, "invalid_client", "AADSTS65001: consent", ReauthRequired),
        (MICROSOFT, "invalid_request", "AADSTS9002313: malformed", AppMisconfigured),
        (FASTMAIL, "invalid_grant", "AADSTS50196", ReauthRequired),  # a number that is Microsoft's alone
    ],
)
def test_classes_of_errors(provider: Provider, code: str, described: str, kind: type[OAuthError]) -> None:
    with pytest.raises(kind) as caught:
        answers.token_answer(provider, answer({"error": code, "error_description": described}, 400), NOW)
    assert type(caught.value) is kind
    assert (caught.value.failure is Failure.AUTH_OAUTH) == (kind is not Transient)


@pytest.mark.parametrize("number", sorted(AADSTS))
def test_each_code_of_microsoft_has_its_advice(number: str) -> None:
    verdict, text = AADSTS[number]
    kinds = {Verdict.REAUTH: ReauthRequired, Verdict.APP: AppMisconfigured, Verdict.TRANSIENT: Transient}
    described = f"AADSTS{number}: Words. Trace ID: 0a1b2c3d-0000-1111-2222-333344445555 Timestamp: 2026-01-01"
    with pytest.raises(kinds[verdict]) as caught:
        answers.token_answer(MICROSOFT, answer({"error": "invalid_grant", "error_description": described}, 400), NOW)
    assert caught.value.code == f"AADSTS{number}"
    assert text in str(caught.value)
    assert "Trace" not in str(caught.value)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_a_peers_words_are_one_short_line(text: str, sent: list[str]) -> None:
    shown = advice.clean(text, sent)
    assert shown.isprintable()
    assert len(shown) <= 200
    assert not [secret for secret in sent if secret in shown and secret != "…" and not secret.isspace()
                and secret in text]  # fmt: skip


def test_a_peers_words_hide_what_was_sent() -> None:
    assert advice.clean("wrong short1 and short2", ["short1", "short2", ""]) == "wrong … and …"
    assert advice.clean(f"token {'aB3-_.~/+=' * 3} gone") == "token … gone"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), (" 5 ", 5), ("999999999999999", 3600), ("-1", None), ("soon", None), ("", None), (None, None),
     ("Fri, 15 Jan 2027 08:01:00 GMT", 60), ("Fri, 15 Jan 2027 07:00:00 GMT", 0), ("Fri, 99 Foo 2027", None),
     ("Fri, 15 Jan 9999 08:01:00 +9999", None)],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert answers.retry_after(value, NOW) == seconds


def test_a_device_code_leads_to_https_only() -> None:
    good = {"device_code": "secret-code", "user_code": "ABCD-EFGH", "verification_uri": "https://microsoft.com/link"}
    found = answers.device_answer(MICROSOFT, answer(good), NOW)
    assert (found.user_code, found.interval, found.lasts) == ("ABCD-EFGH", 5, 900)
    assert "secret" not in repr(found)
    for bad in ("http://x.test/", "javascript:alert(1)", "", 7, "https://a@b/", "https://x.test/\x1b[31m"):
        with pytest.raises(Transient):
            answers.device_answer(MICROSOFT, answer({**good, "verification_uri": bad}), NOW)
    assert answers.device_answer(
        MICROSOFT, answer({**good, "verification_uri_complete": "http://x.test/"}), NOW
    ).complete_uri is None  # fmt: skip

"""MailSlurp's ids, its booleans for encryption, and its conditions."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import InvalidRequest
from gateway.model.ids import object_id
from gateway.web.mailslurp import ids
from gateway.web.mailslurp.imap_lines import Wanted, positions, set_of
from gateway.web.mailslurp.mail_models import EmailPreview, EmailRecipients
from gateway.web.mailslurp.matching import MatchOptions, fits
from gateway.web.mailslurp.options import NOWHERE, leg_of, said_of, security
from gateway.web.mailslurp.tools import diagnosed

DIGITS = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=22, max_size=22)


@given(st.integers(0, ids.MOST_INBOXES - 1), DIGITS, st.booleans())
def test_the_uuid_of_a_message_is_read_back(inbox: int, digits: str, marked: bool) -> None:
    begin = "M-" if marked else "M"
    made = ids.message_uuid(inbox, begin + digits)
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (8, uuid.RFC_4122)
    assert ids.message_key(made) == (inbox, begin + digits[: ids.DIGITS])
    assert ids.message_key(made.upper()) == ids.message_key(made)
    assert ids.event_number(made) is None


def test_it_is_that_of_one_message() -> None:
    found = {ids.message_uuid(inbox, object_id("M")) for inbox in (1, 2) for _ in range(1000)}
    assert len(found) == 2000


@given(st.integers(0, 2**62 - 1))
def test_the_uuid_of_an_event_is_read_back(number: int) -> None:
    assert ids.event_number(ids.event_uuid(number)) == number
    assert ids.message_key(ids.event_uuid(number)) is None


@given(st.one_of(st.text(max_size=50), st.uuids().map(str)))
def test_other_texts_are_no_ids_of_ours(text: str) -> None:
    if ids.message_key(text) is not None:  # a UUID of version 8 by chance
        assert uuid.UUID(text).version == 8
    assert ids.event_number(text) is None or uuid.UUID(text).version == 8


def test_what_does_not_fit_is_no_uuid() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ids.message_uuid(ids.MOST_INBOXES + 1, object_id("M"))


@pytest.mark.parametrize(("port", "ssl", "starttls", "expected"), [
    (993, True, True, "tls"), (465, True, True, "tls"), (465, False, True, "tls"), (993, False, False, "tls"),
    (993, None, None, "tls"), (8993, None, None, "tls"), (2465, True, True, "tls"),
    (587, True, True, "starttls"), (587, False, True, "starttls"), (587, True, False, "tls"),
    (143, None, None, "starttls"), (2525, None, None, "starttls"), (143, False, False, "none"),
    (10143, False, False, "none"), (10993, True, True, "tls"), (10993, True, None, "tls"), (None, None, None, "tls"),
    (None, None, True, "starttls"), (10143, None, False, "none"),
])  # fmt: skip
def test_contradictory_booleans(port: int | None, ssl: bool | None, starttls: bool | None, expected: str) -> None:
    assert security(port, ssl, starttls) == expected


def test_fields_of_a_side() -> None:
    found = leg_of("imap", {
        "imapHost": "h", "imapPort": 993, "imapUsername": "u", "imapPassword": "p", "imapSsl": True,
        "selectFolder": "INBOX", "searchTerms": "UNSEEN", "mechanisms": ["PLAIN", "XYZ", "LOGIN"],
        "sslProtocols": ["TLSv1.3", "TLSv1.2", "SSLv3"], "sslTrust": "*", "localHostName": "me", "proxyEnabled": True,
        "proxyHost": "proxy", "proxyPort": 1081,
    }, private=False)  # fmt: skip
    assert found == {
        "host": "h", "port": 993, "user": "u", "secret": "p", "security": "tls", "folders": ["INBOX"],
        "search": "UNSEEN", "mechanism": ["plain", "login"], "tls_min": "1.2", "tls_max": "1.3", "local_name": "me",
        "proxy": "socks5://proxy:1081",
    }  # fmt: skip
    assert leg_of("smtp", {"smtpHost": "h"}, private=True, whole=False) == {"host": "h", "allow_private": True}
    assert "ca" in leg_of("smtp", {"sslTrust": "-----BEGIN CERTIFICATE-----"}, private=False)
    with pytest.raises(InvalidRequest, match="private key"):
        leg_of("smtp", {"sslTrust": "-----BEGIN PRIVATE KEY-----"}, private=False)


def test_a_side_that_is_not_there() -> None:
    assert said_of("imap", {"host": NOWHERE, "enabled": False}, {"host": NOWHERE}) is None
    assert said_of("imap", {"host": "", "enabled": False}, {}) is None
    assert said_of("imap", {"host": "imap.gmail.com", "enabled": False}, {}) is None  # a preset's, switched off


def email(**changed: Any) -> EmailPreview:
    values: dict[str, Any] = {
        "id": "i", "inbox_id": "b", "to": ["you@b.test"], "from_": "me@a.test", "cc": [], "bcc": [],
        "created_at": datetime.now(UTC), "read": False, "attachments": [], "subject": "Your code is 123",
        "recipients": EmailRecipients(to=[], cc=[], bcc=[]), "size_bytes": 1, **changed,
    }  # fmt: skip
    return EmailPreview(**values)


@pytest.mark.parametrize(("field", "should", "value", "expected"), [
    ("SUBJECT", "CONTAIN", "CODE", True), ("SUBJECT", "CONTAIN", "cod e", False),
    ("SUBJECT", "EQUAL", "your code is 123", True), ("SUBJECT", "EQUAL", "code", False),
    ("SUBJECT", "MATCH", "your.*123", True), ("SUBJECT", "MATCH", "^code", False),
    ("SUBJECT", "MATCH", "^your.*is 123$", True), ("SUBJECT", "MATCH", "^your$", False),
    ("SUBJECT", "MATCH", "code is*123$", True), ("SUBJECT", "MATCH", "123.*your", False),
    ("SUBJECT", "NOT_CONTAIN", "code", False), ("FROM", "EQUAL", "ME@a.test", True), ("CC", "CONTAIN", "a", False),
    ("TO", "CONTAIN", "@b.", True),
])  # fmt: skip
def test_conditions(field: str, should: str, value: str, expected: bool) -> None:
    options = MatchOptions.model_validate({"matches": [{"field": field, "should": should, "value": value}]})
    assert fits(email(), options) is expected


def test_patterns_have_an_end_that_overlaps_nothing() -> None:
    options = MatchOptions.model_validate({"matches": [{"field": "SUBJECT", "should": "MATCH", "value": "^ab.*ba$"}]})
    assert not fits(email(subject="aba"), options)
    assert fits(email(subject="abba"), options)


@pytest.mark.parametrize("value", ["(a+)+$", "[a-z]", "a{3}", "x" * 300])
def test_patterns_of_strangers_are_no_expressions(value: str) -> None:
    options = MatchOptions.model_validate({"matches": [{"field": "SUBJECT", "should": "MATCH", "value": value}]})
    with pytest.raises(InvalidRequest):
        fits(email(), options)


def test_attachments_are_a_condition() -> None:
    wanted = MatchOptions.model_validate({"conditions": [{"condition": "HAS_ATTACHMENTS", "value": "TRUE"}]})
    assert not fits(email(), wanted)
    assert fits(email(attachments=["x"]), wanted)


def test_a_test_in_their_words() -> None:
    def step(name: str, text: str = "", *, ok: bool = True) -> dict[str, Any]:
        return {"name": name, "ok": ok, "ms": 1, "text": text}

    good = diagnosed({
        "success": True, "message": "", "advice": "", "steps": [
            step("connect"), step("tls", "TLSv1.3, TLS_AES, cn, until"), step("greeting", "220 hi"),
            step("login", "as me by PLAIN"),
        ],
    }, {"security": "tls", "secret": "x"})  # fmt: skip
    assert (good.connected, good.banner, good.tls.protocol, good.tls.cipher) == (True, "220 hi", "TLSv1.3", "TLS_AES")
    assert (good.auth.success, good.auth.mechanism, good.warnings, good.errors) == (True, "PLAIN", [], [])
    bad = diagnosed({
        "success": False, "message": "no", "advice": "try", "steps": [step("connect", ok=False)],
    }, {"security": "none"})  # fmt: skip
    assert (bad.connected, bad.tls.negotiated, bad.auth.attempted, bad.errors) == (False, False, False, ["no try"])


UIDS = [3, 5, 8, 13, 21]


@pytest.mark.parametrize(("uids", "numbers", "expected"), [
    (None, None, ((1, 5),)), ("5:13", None, ((2, 4),)), ("13:5,5", None, ((2, 4),)), ("*", None, ((5, 5),)),
    ("100:*", None, ((5, 5),)), ("4,6:7", None, ()), (None, "2:*", ((2, 5),)), (None, "4:2, 7", ((2, 4),)),
    (None, "9", ()), ("1:8", "2:5", ((2, 3),)), ("3,8,21", "2:*", ((3, 3), (5, 5))),
])  # fmt: skip
def test_messages_by_uids_and_numbers(
    uids: str | None, numbers: str | None, expected: tuple[tuple[int, int], ...]
) -> None:
    assert positions(UIDS, Wanted(uids=set_of(uids, "uidSet"), numbers=set_of(numbers, "seqSet"))) == expected


def test_an_empty_mailbox_has_no_last_message() -> None:
    assert positions([], Wanted(uids=set_of("*", "uidSet"))) == positions([], Wanted()) == ()


@pytest.mark.parametrize("text", ["", "x", "1:2:3", "0", "1,", "99999999999", "٣"])
def test_what_is_no_set(text: str) -> None:
    with pytest.raises(InvalidRequest, match="uidSet is no set"):
        set_of(text, "uidSet")

"""When to try again, what an outcome makes of a row, which route, and what a bounce looks like."""

from __future__ import annotations

import email
import email.policy
from email.message import Message
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.dsn import MAX_HEADERS, Failed, Report, bounce
from gateway.delivery.policy import Decision, decide
from gateway.delivery.schedule import Schedule, delay, next_attempt
from gateway.outbound.verdict import Outcome, Stage, Verdict, of_loss, of_reply

NOW = 1_800_000_000
PLAN = Schedule(first=60, longest=14_400, lifetime=432_000)


def test_delays_double_to_the_longest() -> None:
    assert [delay(PLAN, attempts, 0.5) for attempts in (1, 2, 3, 9, 10, 1000)] == [60, 120, 240, 14_400, 14_400, 14_400]
    assert delay(PLAN, 0, 0.5) == 60
    assert delay(PLAN, 1, 0.0) == 48
    assert delay(PLAN, 1, 1.0) == 72


@given(st.integers(1, 10_000), st.integers(0, 500_000), st.floats(0, 1))
def test_next_attempt_is_later_and_within_its_life(attempts: int, age: int, chance: float) -> None:
    at = next_attempt(PLAN, attempts=attempts, created_at=NOW - age, now=NOW, chance=chance)
    if age >= PLAN.lifetime:
        assert at is None
    else:
        assert at is not None
        assert NOW < at <= NOW - age + PLAN.lifetime


def decided(outcome: Outcome, *, progress: bool = False, policy: str = "resend", age: int = 0) -> Decision:
    return decide(
        outcome, attempts=0, created_at=NOW - age, now=NOW, schedule=PLAN,
        unknown_outcome=policy, progress=progress, chance=0.5,  # type: ignore[arg-type]
    )  # fmt: skip


def test_decisions() -> None:
    assert decided(of_reply(Stage.FINAL_DOT, 250, "2.0.0 ok")) == Decision("sent", 250, "2.0.0", "ok")
    assert decided(of_reply(Stage.RCPT, 550, "5.1.1 no")) == Decision("bounced", 550, "5.1.1", "no")
    assert decided(of_reply(Stage.RCPT, 450, "4.2.1 no")) == Decision("deferred", 450, "4.2.1", "no", NOW + 60)
    assert decided(of_reply(Stage.MAIL, 535, "5.7.8 no")).state == "deferred", "our login is no fault of the mail"
    lost = of_loss(Stage.FINAL_DOT, "lost")
    assert decided(lost).next_attempt == NOW + 60
    assert decided(lost, policy="hold").state == "held"
    assert decided(of_loss(Stage.BODY, "lost"), policy="hold").state == "deferred"
    full = of_reply(Stage.RCPT, 452, "4.5.3 too many")
    assert decided(full, progress=True).next_attempt == NOW
    assert decided(full, progress=False).next_attempt == NOW + 60, "without progress it would spin"
    old = decided(of_reply(Stage.RCPT, 450, "4.2.1 no"), age=432_000)
    assert (old.state, old.enhanced) == ("bounced", "4.4.7")
    assert "5 days" in old.text


def report(**changes: object) -> Report:
    values: dict[str, object] = {
        "hostname": "mail.example.org", "mail_from": "ann@example.org", "envelope_id": None, "accepted_at": NOW - 60,
        "failed": [Failed("eve@x", 550, "5.1.1", "nobody\r\nX: injected", "relay.example")],
        "header": b"From: ann@example.org\r\nMessage-ID: <1@x>\r\nSubject: hi\r\n\r\n", "now": NOW, "token": "TOKEN",
        **changes,
    }  # fmt: skip
    return Report(**values)  # type: ignore[arg-type]


def parts(octets: bytes) -> list[Message]:
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert not message.defects
    assert message["Return-Path"] == "<>"
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    return cast("list[Message]", message.get_payload())


def test_bounce_is_a_report_of_rfc_3464() -> None:
    words, status, header = parts(bounce(report()))
    assert "<eve@x>" in words.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert status.get_content_type() == "message/delivery-status"
    about, recipient = cast("list[Message]", status.get_payload())
    assert about["Reporting-MTA"] == "dns; mail.example.org"
    assert recipient["Final-Recipient"] == "rfc822; eve@x"
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1"
    assert recipient["Remote-MTA"] == "dns; relay.example"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 nobody  X: injected"
    assert recipient["X"] is None
    assert header.get_content_type() == "text/rfc822-headers"
    assert b"Subject: hi" in header.get_payload(decode=True)  # type: ignore[operator]


def test_bounce_with_utf8() -> None:
    octets = bounce(report(failed=[Failed("zoë@x", None, "5.6.7", "no SMTPUTF8 für Zoë", None)]))
    _, status, header = parts(octets)
    assert status.get_content_type() == "message/global-delivery-status"
    assert header.get_content_type() == "message/global-headers"
    assert "Final-Recipient: utf-8; zoë@x\r\n".encode() in octets
    assert b"Diagnostic-Code" not in octets


def test_bounce_cannot_be_broken_by_what_it_returns() -> None:
    evil = b"From: a@b\r\n--=_TOKEN--\r\nX: " + b"x" * 70 + b"\r\n"
    _, _, header = parts(bounce(report(header=evil + b"Y: y\r\n" * 40_000)))
    payload = header.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert len(payload) <= MAX_HEADERS
    assert b"TOKEN" not in payload


def test_status_is_never_a_success() -> None:
    octets = bounce(report(failed=[Failed("eve@x", 550, None, "no", None), Failed("joe@x", 550, "2.0.0", "no", None)]))
    assert octets.count(b"Status: 5.0.0\r\n") == 2


def test_null_sender_is_never_bounced() -> None:
    with pytest.raises(ValueError, match="null reverse-path"):
        bounce(report(mail_from=""))


def test_verdicts_all_have_a_decision() -> None:
    for verdict in Verdict:
        made = decided(Outcome(verdict, Stage.FINAL_DOT, 500, None, "x"))
        assert (made.next_attempt is not None) == (made.state == "deferred")

"""Notices to senders: the form of RFC 3464 as another library reads it, and what others' words cannot do to it."""

from __future__ import annotations

import email
import email.policy
from email.message import Message
from typing import Any, cast

import pytest
from flufl.bounce import all_failures
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.dsn import MAX_HEADERS, Notice, Status, compose
from gateway.delivery.reports import read_report

NOW = 1_800_000_000
HEADER = b"From: ann@example.org\r\nMessage-ID: <1@x>\r\nSubject: hi\r\n\r\n"
EVE = Status("eve@x.test", 550, "5.1.1", "nobody", "relay.example")


def notice(**changes: Any) -> Notice:
    values: dict[str, Any] = {
        "hostname": "mail.example.org", "mail_from": "ann@example.org", "envelope_id": None, "accepted_at": NOW - 60,
        "action": "failed", "recipients": [EVE], "header": HEADER, "now": NOW, "token": "TOKEN", **changes,
    }  # fmt: skip
    return Notice(**values)


def octets_of(made: Notice, original: bytes = b"") -> bytes:
    composed = compose(made)
    return composed.head + original + composed.tail


def parts(octets: bytes) -> list[Message]:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert not message.defects
    assert message["Return-Path"] == "<>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    found = cast("list[Message]", message.get_payload())
    assert len(found) == 3
    return found


def blocks(octets: bytes) -> list[Message]:
    return cast("list[Message]", parts(octets)[1].get_payload())


def text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_a_wish_to_be_sent_later_is_repeated() -> None:
    """RFC 4865 5.1.2."""
    assert blocks(octets_of(notice(hold="for;3600")))[0]["Future-Release-Request"] == "for;3600"
    assert "Future-Release-Request" not in blocks(octets_of(notice()))[0]


def test_a_failure_is_a_report_of_rfc_3464() -> None:
    octets = octets_of(notice(recipients=[Status("eve@x", 550, "5.1.1", "nobody\r\nX: injected", "relay.example")]))
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    words, status, header = parts(octets)
    assert "<eve@x>" in text(words)
    assert status.get_content_type() == "message/delivery-status"
    about, recipient = blocks(octets)
    assert dict(about.items()) == {
        "Reporting-MTA": "dns; mail.example.org", "Arrival-Date": "Fri, 15 Jan 2027 07:59:00 +0000",
    }  # fmt: skip
    assert dict(recipient.items()) == {
        "Final-Recipient": "rfc822; eve@x",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; relay.example",
        "Diagnostic-Code": "smtp; 550 5.1.1 nobody  X: injected",
        "Last-Attempt-Date": "Fri, 15 Jan 2027 08:00:00 +0000",
    }
    assert header.get_content_type() == "text/rfc822-headers"
    assert "Subject: hi" in text(header)


def test_delay_says_until_when_it_is_tried() -> None:
    late = Status("eve@x", 450, "4.2.1", "not now", "relay.example", retry_until=NOW + 432_000)
    octets = octets_of(notice(action="delayed", recipients=[late]))
    _, recipient = blocks(octets)
    assert recipient["Action"] == "delayed"
    assert recipient["Status"] == "4.2.1"
    assert recipient["Will-Retry-Until"] == "Wed, 20 Jan 2027 08:00:00 +0000"
    assert "need not send it again" in text(parts(octets)[0])


@pytest.mark.parametrize(
    ("action", "enhanced", "status"),
    [
        ("failed", None, "5.0.0"), ("failed", "2.0.0", "5.0.0"), ("failed", "4.4.7", "4.4.7"),
        ("delayed", None, "4.0.0"), ("delayed", "5.7.8", "4.7.8"), ("delayed", "4.4.1", "4.4.1"),
        ("delivered", None, "2.0.0"), ("delivered", "2.1.5", "2.1.5"),
        ("relayed", "2.0.0", "2.0.0"), ("relayed", "5.0.0", "2.0.0"),
    ],
)  # fmt: skip
def test_the_status_is_of_the_class_of_the_action(action: str, enhanced: str | None, status: str) -> None:
    octets = octets_of(notice(action=action, recipients=[Status("eve@x", 550, enhanced, "words", None)]))
    assert blocks(octets)[1]["Status"] == status


# RFC 3461 10.6, 10.7 and 10.8: what the reports of its example hold.
@pytest.mark.parametrize(
    ("action", "recipient", "fields"),
    [
        (
            "delivered", Status("Bob@Example.COM", None, None, "", None, "rfc822;Bob@Example.COM"),
            {"Original-Recipient": "rfc822; Bob@Example.COM", "Final-Recipient": "rfc822; Bob@Example.COM",
             "Action": "delivered", "Status": "2.0.0"},
        ),
        (
            "failed",
            Status("Carol@Ivory.EDU", 550, None, "error - no such recipient", "Ivory.EDU", "rfc822;Carol@Ivory.EDU"),
            {"Original-Recipient": "rfc822; Carol@Ivory.EDU", "Action": "failed", "Status": "5.0.0",
             "Diagnostic-Code": "smtp; 550 error - no such recipient"},
        ),
        (
            "relayed", Status("Dana@Ivory.EDU", 250, None, "recipient ok", "Ivory.EDU", "rfc822;Dana@Ivory.EDU"),
            {"Original-Recipient": "rfc822; Dana@Ivory.EDU", "Action": "relayed", "Status": "2.0.0"},
        ),
    ],
)  # fmt: skip
def test_the_reports_of_rfc_3461(action: str, recipient: Status, fields: dict[str, str]) -> None:
    about, found = blocks(octets_of(notice(action=action, recipients=[recipient], envelope_id="QQ314159")))
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert {name: found[name] for name in fields} == fields


def test_what_the_client_did_not_name_is_not_named() -> None:
    about, recipient = blocks(octets_of(notice()))
    assert about["Original-Envelope-Id"] is None
    assert recipient["Original-Recipient"] is None


def test_each_recipient_has_its_block() -> None:
    octets = octets_of(notice(recipients=[EVE, Status("joe@x.test", 551, None, "gone", None)]))
    _, eve, joe = blocks(octets)
    assert (eve["Final-Recipient"], joe["Final-Recipient"]) == ("rfc822; eve@x.test", "rfc822; joe@x.test")
    assert joe["Remote-MTA"] is None


def test_the_whole_message_comes_back_as_it_is() -> None:
    original = HEADER + "body\r\n--=_OTHER--\r\n\r\nzoë".encode()
    returned = parts(octets_of(notice(full=True), original))[2]
    assert returned.get_content_type() == "message/rfc822"
    raw = octets_of(notice(full=True), original)
    assert b"\r\n\r\n" + original + b"\r\n--=_TOKEN--\r\n" in raw
    utf8 = "From: zoë@example.org\r\n\r\n".encode()
    assert b"Content-Type: message/global\r\n" in compose(notice(full=True, header=utf8)).head


def test_utf8_where_it_is_needed() -> None:
    octets = octets_of(notice(recipients=[Status("zoë@x", None, "5.6.7", "no SMTPUTF8 für Zoë", None)]))
    _, status, header = parts(octets)
    assert status.get_content_type() == "message/global-delivery-status"
    assert header.get_content_type() == "message/global-headers"
    assert "Final-Recipient: utf-8; zoë@x\r\n".encode() in octets
    assert b"Diagnostic-Code" not in octets
    octets = octets_of(notice(recipients=[Status("a@x", 550, None, "für Zoë", "r", "utf-8;zo\\x{EB}@x")]))
    assert "Original-Recipient: utf-8; zoë@x\r\nFinal-Recipient: rfc822; a@x\r\n".encode() in octets
    assert "Diagnostic-Code: smtp; 550 für Zoë\r\n".encode() in octets


def test_ascii_where_that_will_do() -> None:
    octets = octets_of(notice(recipients=[Status("a@x", 550, None, "für Zoë", "r", "utf-8;a\\x{2B}b@x")]))
    assert b"Content-Type: message/delivery-status\r\n\r\n" in octets
    assert b"Original-Recipient: utf-8; a\\x{2B}b@x\r\n" in octets
    assert b"Diagnostic-Code: smtp; 550 f?r Zo?\r\n" in octets
    assert "für Zoë" in text(parts(octets)[0])


def test_it_cannot_be_broken_by_what_it_returns() -> None:
    evil = b"From: a@b\r\n--=_TOKEN--\r\nX: " + b"x" * 70 + b"\r\n"
    header = parts(octets_of(notice(header=evil + b"Y: y\r\n" * 40_000)))[2]
    payload = header.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert len(payload) <= MAX_HEADERS
    assert b"TOKEN" not in payload


WORDS = st.text(max_size=600) | st.sampled_from(
    ["\r\n--=_TOKEN--\r\n", "\r\n\r\nAction: delivered", "\n.\n", "\0", "\u2028X: y", "\x85X: y", "é" * 500]
)


@given(WORDS, WORDS, WORDS, WORDS, st.sampled_from(["failed", "delayed", "relayed"]))
def test_nobodys_words_break_out(said: str, remote: str, envelope_id: str, address: str, action: str) -> None:
    status = Status(address or "x", 550, "5.1.1", said, remote, "rfc822;a+40b")
    octets = octets_of(notice(action=action, recipients=[status], envelope_id=envelope_id))
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert b"\0" not in octets
    _, status_part, _ = parts(octets)
    block = octets[octets.index(b"Reporting-MTA") : octets.index(b"\r\n--=_TOKEN", octets.index(b"Reporting-MTA"))]
    assert block.count(b"\r\nAction: ") == 1
    assert f"\r\nAction: {action}\r\nStatus: ".encode() in block
    for line in block.split(b"\r\n"):
        assert not line or line.split(b":")[0] in {
            b"Reporting-MTA", b"Arrival-Date", b"Original-Recipient", b"Final-Recipient", b"Action", b"Status",
            b"Remote-MTA", b"Diagnostic-Code", b"Last-Attempt-Date",
        }  # fmt: skip
    if status_part.get_content_type() == "message/delivery-status":
        assert block.isascii()


def test_nobody_is_told_of_a_null_sender() -> None:
    with pytest.raises(ValueError, match="null reverse-path"):
        compose(notice(mail_from=""))


def test_others_recognise_it() -> None:
    octets = octets_of(notice(recipients=[EVE, Status("joe@x.test", 551, None, "gone", None)]))
    assert all_failures(email.message_from_bytes(octets)) == (frozenset(), {b"eve@x.test", b"joe@x.test"})
    late = octets_of(notice(action="delayed"))
    assert all_failures(email.message_from_bytes(late)) == ({b"eve@x.test"}, frozenset())


def test_we_recognise_it() -> None:
    report = read_report(octets_of(notice(envelope_id="QQ314159")))
    assert report is not None
    assert (report.envelope_id, report.message_ids) == ("QQ314159", (b"1@x",))
    [said] = report.said
    assert (said.addresses, said.event, said.code, said.enhanced) == (("eve@x.test",), "bounced", 550, "5.1.1")
    assert (said.text, said.remote) == ("relay.example said: nobody", "mail.example.org")

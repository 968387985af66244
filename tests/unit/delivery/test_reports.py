"""Reports that came in: what they say in RFC 3464's form and in others', and that no octets bring about an error."""

from __future__ import annotations

import email
from contextlib import suppress
from typing import Final

import pytest
from flufl.bounce import all_failures
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.delivery.foreign import Unreadable, read_foreign
from gateway.delivery.reports import MAX_IDS, MAX_RECIPIENTS, address_key, read_report, reply_of
from gateway.mime import may_be_report
from tests.differential import corpora

TOP: Final = (
    b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.test\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
)
RETURNED: Final = (
    b"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <orig@example.org>\r\nSubject: x\r\n\r\n"
    b"Message-ID: <not@this>\r\n--b--\r\n"
)
ABOUT: Final = b"Reporting-MTA: dns; mx.test\r\nOriginal-Envelope-Id: QQ1\r\n\r\n"


def report(recipients: bytes, about: bytes = ABOUT, returned: bytes = RETURNED) -> bytes:
    return TOP + about + recipients + returned


def test_what_postfix_says() -> None:
    octets = report(
        b"Final-Recipient: rfc822; eve@x.test\r\nOriginal-Recipient: rfc822;Eve+2Bx@x.test\r\nAction: failed\r\n"
        b"Status: 5.1.1\r\nRemote-MTA: dns; inner.test\r\nDiagnostic-Code: smtp; 550 5.1.1 <eve@x.test>: no\r\n"
        b"    such user\r\n"
    )
    found = read_report(octets)
    assert found is not None
    assert (found.envelope_id, found.message_ids) == ("QQ1", (b"orig@example.org",))
    [said] = found.said
    assert said.addresses == ("Eve+2Bx@x.test", "Eve+x@x.test", "eve@x.test")
    assert (said.event, said.code, said.enhanced, said.remote) == ("bounced", 550, "5.1.1", "mx.test")
    assert said.text == "inner.test said: <eve@x.test>: no    such user"


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("failed", "bounced"), ("Failed (bounced)", "bounced"), ("error", "bounced"), ("delayed", "delayed"),
        ("delivered", "delivered"), ("relayed", "relayed"), ("expanded", "expanded"), ("exploded", None), ("", None),
    ],
)  # fmt: skip
def test_actions(action: str, event: str | None) -> None:
    found = read_report(report(f"Final-Recipient: rfc822;a@x\r\nAction: {action}\r\n".encode()))
    assert (found and found.said[0].event) == event


@pytest.mark.parametrize(
    ("field", "addresses"),
    [
        ("rfc822;a@x", ("a@x",)), ("<a@x>", ("a@x",)), ("a@x", ("a@x",)), ("RFC822; <a@x>", ("a@x",)),
        ("utf-8; zoë@x", ("zoë@x",)), ("utf-8;zo\\x{EB}@x", ("zo\\x{EB}@x", "zoë@x")), ("x400; /S=U/", None),
        ("rfc822;", None), ("rfc822; somebody", None),
    ],
)  # fmt: skip
def test_addresses(field: str, addresses: tuple[str, ...] | None) -> None:
    found = read_report(report(f"Final-Recipient: {field}\r\nAction: failed\r\n".encode()))
    assert (found and found.said[0].addresses) == addresses


def test_fields_of_both_kinds_in_one_block() -> None:
    found = read_report(report(b"Final-Recipient: rfc822;a@x\r\nAction: failed\r\n", b"Reporting-MTA: mx.test\r\n"))
    assert found is not None
    assert (found.said[0].addresses, found.said[0].remote) == (("a@x",), "mx.test")


def test_encoded_parts_are_read() -> None:
    octets = (
        TOP.replace(b"delivery-status\r\n\r\n", b"delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n")
        + b"UmVwb3J0aW5nLU1UQTogZG5zOyBteC50ZXN0DQoNCkZpbmFsLVJlY2lwaWVudDogcmZjODIyO2FA"
        b"eA0KQWN0aW9uOiBmYWlsZWQNCg==" + RETURNED
    )
    found = read_report(octets)
    assert found is not None
    assert found.said[0].addresses == ("a@x",)


def test_headers_alone_are_returned() -> None:
    returned = b"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\nMessage-ID:\r\n <o@x>\r\n--b--\r\n"
    found = read_report(report(b"Final-Recipient: rfc822;a@x\r\nAction: failed\r\n", returned=returned))
    assert found is not None
    assert found.message_ids == (b"o@x",)


def test_there_are_limits() -> None:
    many = b"".join(b"Final-Recipient: rfc822;a%d@x\r\nAction: failed\r\n\r\n" % n for n in range(1000))
    found = read_report(report(many))
    assert found is not None
    assert len(found.said) <= MAX_RECIPIENTS
    ids = b"".join(b"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <%d@x>\r\n" % n for n in range(99))
    found = read_report(report(b"Final-Recipient: rfc822;a@x\r\nAction: failed\r\n", returned=ids))
    assert found is not None
    assert len(found.message_ids) == MAX_IDS


def test_control_characters_of_others_are_gone() -> None:
    octets = report(b"Final-Recipient: rfc822;a@x\r\nAction: failed\r\nDiagnostic-Code: smtp; 550 a\0\x1b[2Jb\r\n")
    found = read_report(octets)
    assert found is not None
    assert found.said[0].text == "a [2Jb"


def test_what_is_answered_names_the_message_where_nothing_is_returned() -> None:
    octets = b"In-Reply-To: <o@x>\r\nReferences: <a@x> <o@x>\r\n" + report(
        b"Final-Recipient: rfc822;a@x\r\nAction: failed\r\n", returned=b"\r\n--b--\r\n"
    )
    found = read_report(octets)
    assert found is not None
    assert found.message_ids == (b"o@x", b"a@x")


# RFC 3464 appendix E, and RFC 3461 10.9: fields about the message, fields of recipients, what is read of them.
@pytest.mark.parametrize(
    ("about", "recipients", "told"),
    [
        (
            "Reporting-MTA: dns; cs.utk.edu",
            ["Original-Recipient: rfc822;louisl@larry.slip.umd.edu\nFinal-Recipient: rfc822;louisl@larry.slip.umd.edu\n"
             "Action: failed\nStatus: 4.0.0\nDiagnostic-Code: smtp; 426 connection timed out\n"
             "Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400"],
            [("louisl@larry.slip.umd.edu", "bounced", 426, "4.0.0", "connection timed out")],
        ),
        (
            "Reporting-MTA: dns; cs.utk.edu",
            ["Original-Recipient: rfc822;arathib@vnet.ibm.com\nFinal-Recipient: rfc822;arathib@vnet.ibm.com\n"
             "Action: failed\nStatus: 5.0.0 (permanent failure)\n"
             "Diagnostic-Code: smtp;  550 'arathib@vnet.IBM.COM' is not a\n registered gateway user\n"
             "Remote-MTA: dns; vnet.ibm.com",
             "Original-Recipient: rfc822;johnh@hpnjld.njd.hp.com\nFinal-Recipient: rfc822;johnh@hpnjld.njd.hp.com\n"
             "Action: delayed\nStatus: 4.0.0 (hpnjld.njd.jp.com: host name lookup failure)",
             "Original-Recipient: rfc822;wsnell@sdcc13.ucsd.edu\nFinal-Recipient: rfc822;wsnell@sdcc13.ucsd.edu\n"
             "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 user unknown\n"
             "Remote-MTA: dns; sdcc13.ucsd.edu"],
            [("arathib@vnet.ibm.com", "bounced", 550, "5.0.0",
              "vnet.ibm.com said: 'arathib@vnet.IBM.COM' is not a registered gateway user"),
             ("johnh@hpnjld.njd.hp.com", "delayed", None, "4.0.0", ""),
             ("wsnell@sdcc13.ucsd.edu", "bounced", 550, "5.0.0", "sdcc13.ucsd.edu said: user unknown")],
        ),
        (
            "Reporting-MTA: mailbus; SYS30",
            ["Final-Recipient: unknown; nair_s\nStatus: 5.0.0 (unknown permanent failure)\nAction: failed"],
            None,
        ),
        (
            "Reporting-MTA: dns; sun2.nsfnet-relay.ac.uk",
            ["Final-Recipient: rfc822;thomas@de-montfort.ac.uk\nStatus: 4.0.0 (unknown temporary failure)\n"
             "Action: delayed"],
            [("thomas@de-montfort.ac.uk", "delayed", None, "4.0.0", "")],
        ),
        (
            "Reporting-MTA: Boondoggle.GOV\nOriginal-Envelope-ID: QQ314159",
            ["Original-Recipient: rfc822;George@Tax-ME.GOV\nFinal-Recipient: rfc822;Sam@Boondoggle.GOV\n"
             "Action: failed\nStatus: 4.2.2 (disk quota exceeded)"],
            [("George@Tax-ME.GOV", "bounced", None, "4.2.2", "")],
        ),
    ],
)  # fmt: skip
def test_examples_of_the_rfcs(about: str, recipients: list[str], told: list[tuple[object, ...]] | None) -> None:
    status = "\n\n".join([about, *recipients, ""]).replace("\n", "\r\n").encode()
    found = read_report(TOP + status + RETURNED)
    said = None if found is None else found.said
    assert told == (said and [(each.addresses[0], each.event, each.code, each.enhanced, each.text) for each in said])
    if found is not None:
        assert found.envelope_id == ("QQ314159" if "QQ" in about else None)


def test_ordinary_mail_is_none() -> None:
    assert read_report(b"From: a@b\r\nSubject: Action: failed\r\n\r\nFinal-Recipient: rfc822;a@x\r\n") is None
    assert read_foreign(b"From: a@b\r\nSubject: hi\r\n\r\nhello\r\n") is None


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.1.1 no", (550, "5.1.1", "no")), ("550-5.1.1 no", (550, "5.1.1", "no")), ("550 no", (550, None, "no")),
        ("550 #5.1.0 no", (550, "5.1.0", "no")), ("550", (550, None, "")), ("5501 no", (None, None, "5501 no")),
        ("no", (None, None, "no")), ("", (None, None, "")),
    ],
)  # fmt: skip
def test_replies(text: str, reply: tuple[int | None, str | None, str]) -> None:
    assert reply_of(text) == reply


def test_addresses_compare_as_mailboxes() -> None:
    assert address_key("Eve@X.Test") == address_key("eve@x.test")
    assert address_key("zoë@bücher.example") == address_key("ZOË@xn--bcher-kva.example")
    assert address_key("a@[192.0.2.1]") == "a@[192.0.2.1]"
    assert address_key("a+b@x.test") != address_key("a@x.test")


def test_exim() -> None:
    octets = (
        b"X-Failed-Recipients: eve@x.test\r\nAuto-Submitted: auto-replied\r\n"
        b"From: Mail Delivery System <Mailer-Daemon@mx.test>\r\nSubject: Mail delivery failed\r\n\r\n"
        b"This message was created automatically by mail delivery software.\r\n\r\n  eve@x.test\r\n"
        b"    SMTP error from remote mail server after RCPT TO:<eve@x.test>:\r\n"
        b"    550 5.1.1 User unknown\r\n\r\n------ This is a copy of the message ------\r\n\r\n"
        b"Message-ID: <orig@example.org>\r\nSubject: x\r\n"
    )
    assert may_be_report(octets)
    found = read_foreign(octets)
    assert found is not None
    assert found.message_ids == (b"orig@example.org",)
    [said] = found.said
    assert (said.addresses, said.event, said.code, said.enhanced) == (("eve@x.test",), "bounced", 550, "5.1.1")
    assert (said.text, said.remote) == ("User unknown", "mx.test")


@pytest.mark.skipif(any("flufl" in name for name in corpora.missing()), reason="flufl.bounce's messages are not here")
def test_every_form_that_flufl_bounce_knows() -> None:
    """Its own messages: what is read of the short form that it is given is what it finds in the whole."""
    count = 0
    for mail in corpora.as_they_are():
        if not mail.name.startswith("flufl_bounce/"):
            continue
        delayed, failed = all_failures(email.message_from_bytes(mail.octets))
        found = read_report(mail.octets) or read_foreign(mail.octets)
        said = found.said if found is not None else ()
        told = {address.lower() for each in said for address in each.addresses}
        wanted = {address.decode("ascii", "replace").lower() for address in delayed | failed if b"@" in address}
        assert wanted <= told, mail.name
        count += len(wanted)
    assert count > 100


@given(st.binary(max_size=2000))
def test_no_octets_bring_about_an_error(octets: bytes) -> None:
    read_report(octets)
    read_report(TOP + octets)
    may_be_report(octets)


FIELDS = st.sampled_from(
    [b"Final-Recipient: ", b"Original-Recipient: ", b"Action: failed", b"Action: ", b"Status: ", b"Diagnostic-Code: ",
     b"\r\n", b"\n", b"\r\n\r\n", b"rfc822;", b"utf-8;", b"\\x{D800}", b"\\x{FFFFFF}", b"<a@x>", b"550 5.1.1 ", b"--b",
     b"--b--", b"Content-Type: message/rfc822", b"Message-ID: <", b">", b"+0D+0A", b";", b"\xff", b"\0"]
)  # fmt: skip


@given(st.lists(FIELDS, max_size=40).map(b"".join))
@example(b"Final-Recipient: utf-8;\\x{FFFFFF}@x\r\nAction: failed")
def test_no_fields_bring_about_an_error(fields: bytes) -> None:
    found = read_report(report(fields))
    for said in found.said if found is not None else ():
        assert said.addresses
        assert not any(char in "".join((*said.addresses, said.text, said.remote or "")) for char in "\r\n\0")


@given(st.lists(FIELDS, max_size=40).map(b"".join))
def test_foreign_forms_of_anything(fields: bytes) -> None:
    with suppress(Unreadable):  # the one error that it has
        read_foreign(b"From: MAILER-DAEMON@x\r\n" + fields)


def test_what_the_detectors_stumble_over_is_told_by_its_kind_alone(capfd: pytest.CaptureFixture[str]) -> None:
    comments = b"X-Failed-Recipients: " + b"\n ".join(b"(secret" * 40 for _ in range(100))
    with pytest.raises(Unreadable, match=r"\ARecursionError\Z"):
        read_foreign(b"From: MAILER-DAEMON@x\n" + comments)
    assert capfd.readouterr() == ("", "")


def test_many_parts_within_each_other_are_no_report() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000))
    assert read_foreign(b"From: MAILER-DAEMON@x\n" + deep) is None
    assert read_report(b"From: MAILER-DAEMON@x\n" + deep) is None


@pytest.mark.parametrize(
    ("header", "may_be"),
    [
        (b"From: a@b\r\nContent-Type: multipart/report; boundary=x\r\n\r\n", True),
        (b"Return-Path: <>\r\nFrom: a@b\r\n\r\n", True),
        (b"Return-Path:\r\n <>\r\nFrom: a@b\r\n\r\n", True),
        (b"From: Mail Delivery Subsystem <x@y>\r\n\r\n", True),
        (b"From: MAILER-DAEMON@y\r\n\r\n", True),
        (b"X-Failed-Recipients: a@b\r\n\r\n", True),
        (b"Return-Path: <a@b>\r\nFrom: a@b\r\nContent-Type: multipart/mixed\r\n\r\n", False),
        (b"Return-Path: <a@b>\r\nX: <>\r\nTo: postmaster@b\r\nSubject: multipart/report\r\n\r\n", False),
        (b"", False),
    ],
)
def test_what_may_be_a_report(header: bytes, may_be: bool) -> None:
    assert may_be_report(header) is may_be

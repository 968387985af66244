"""Replies and forwards of values: whom they go to, what they are called, how they hang together, what they quote."""

from __future__ import annotations

import pytest

from gateway.access.composing import Attachment, Letter
from gateway.access.header_fields import Mailbox
from gateway.access.replying import (
    MAX_REFERENCES,
    Original,
    forward,
    forward_subject,
    quoted_html,
    quoted_text,
    recipients,
    reply,
    reply_subject,
    threading,
)
from gateway.model.errors import InvalidRequest

ANNA = Mailbox("anna@example.org", "Anna")
ALIAS = Mailbox("Sales@example.org")
BOB = Mailbox("bob@example.net", "Bob")
EVE = Mailbox("eve@example.net")
OWN = frozenset({"anna@example.org", "sales@example.org"})
NOW = 1_700_000_000


def original(**values: object) -> Original:
    return Original(**({"author": (BOB,), "to": (ANNA,), "message_id": "m@x", "date": NOW} | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "to", "cc"),
    [
        ({}, [BOB], []),
        ({"to": (ANNA, EVE), "cc": (ALIAS,)}, [BOB], [EVE]),
        ({"reply_to": (EVE,)}, [EVE], []),
        ({"reply_to": (EVE,), "to": (ANNA, EVE, BOB)}, [EVE], [BOB]),
        ({"to": (ANNA, Mailbox("EVE@example.net"), EVE), "cc": (EVE,)}, [BOB], [Mailbox("EVE@example.net")]),
        ({"cc": (Mailbox("anna+list@example.org"), BOB)}, [BOB], []),
        # Her own: to those she wrote to.
        ({"author": (ANNA,), "to": (BOB,), "cc": (EVE,)}, [BOB], [EVE]),
        ({"author": (ANNA,), "to": (BOB, ALIAS), "reply_to": (ALIAS,)}, [BOB], []),
        # Her own with a Reply-To of somebody else's.
        ({"author": (ANNA,), "to": (BOB,), "reply_to": (EVE,)}, [EVE], [BOB]),
        # To herself alone.
        ({"author": (ANNA,), "to": (ANNA,)}, [ANNA], []),
        # A list that lets her own address be answered too.
        ({"reply_to": (EVE, ANNA)}, [EVE], []),
    ],
)
def test_who_gets_a_reply(values: dict[str, object], to: list[Mailbox], cc: list[Mailbox]) -> None:
    assert recipients(original(**values), OWN, everybody=True) == (to, cc)
    assert recipients(original(**values), OWN, everybody=False) == (to, [])


def test_nobody_to_answer() -> None:
    with pytest.raises(InvalidRequest):
        recipients(original(author=()), OWN, everybody=True)


@pytest.mark.parametrize(
    ("subject", "answered", "sent_on"),
    [
        ("Hi", "Re: Hi", "Fwd: Hi"),
        ("Re: Hi", "Re: Hi", "Fwd: Re: Hi"),
        ("RE:Hi", "RE:Hi", "Fwd: RE:Hi"),
        ("AW: Hi", "AW: Hi", "Fwd: AW: Hi"),
        ("Fwd: Hi", "Re: Fwd: Hi", "Fwd: Hi"),
        ("Re[2]: Hi", "Re[2]: Hi", "Fwd: Re[2]: Hi"),
        ("Report: Hi", "Re: Report: Hi", "Fwd: Report: Hi"),
        ("  a\r\n b ", "Re: a b", "Fwd: a b"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_a_prefix_stands_once(subject: str, answered: str, sent_on: str) -> None:
    assert (reply_subject(subject), forward_subject(subject)) == (answered, sent_on)
    assert reply_subject(answered) == answered


def test_threads() -> None:
    assert threading(original()) == ("<m@x>", ("<m@x>",))
    assert threading(original(references=("a@x", "b@x"))) == ("<m@x>", ("<a@x>", "<b@x>", "<m@x>"))
    # RFC 5322 3.6.4: without References the parent's In-Reply-To stands for them, if it names one message
    assert threading(original(in_reply_to=("p@x",))) == ("<m@x>", ("<p@x>", "<m@x>"))
    assert threading(original(in_reply_to=("p@x", "q@x"))) == ("<m@x>", ("<m@x>",))
    assert threading(original(message_id=None, references=("a@x",))) == (None, ("<a@x>",))
    assert threading(original(message_id="no id\r\nX: y", references=("ü@x", "a@x"))) == (None, ("<a@x>",))
    many = tuple(f"{number}@x" for number in range(100))
    ids = threading(original(references=many))[1]
    assert len(ids) == MAX_REFERENCES
    assert (ids[0], ids[-2:]) == ("<0@x>", ("<99@x>", "<m@x>"))


def test_a_reply_quotes_in_the_form_that_it_has() -> None:
    said = original(subject="Hi", text="one\n> two\n\nthree", html="<html><body class=x><p>one</p></body></html>")
    letter = reply(Letter(sender=ANNA, text="Yes."), said, OWN, everybody=False, quote=True)
    assert letter.text == (
        "Yes.\r\n\r\nOn Tue, 14 Nov 2023 22:13:20 +0000, Bob <bob@example.net> wrote:\r\n"
        "> one\r\n>> two\r\n>\r\n> three\r\n"
    )
    assert letter.html is None
    letter = reply(Letter(sender=ANNA, html="<p>Yes.</p>"), said, OWN, everybody=False, quote=True)
    assert letter.text is None
    assert letter.html is not None
    assert letter.html.startswith("<p>Yes.</p><br><br><div>On Tue")
    assert "Bob &lt;bob@example.net&gt; wrote:</div><blockquote" in letter.html
    assert letter.html.endswith("<p>one</p></blockquote>")
    assert reply(Letter(sender=ANNA, text="Yes."), said, OWN, everybody=False, quote=False).text == "Yes."


def test_text_that_looks_like_html_is_text() -> None:
    assert "<script>" not in quoted_html(original(text="<script>"))
    assert "<b>" not in quoted_html(original(text="", author=(Mailbox("b@x.org", "<b>"),)))
    assert quoted_text(original(text=None, author=(), date=None)) == "somebody wrote:\r\n"
    assert quoted_text(original(text="x", date=2**60)).startswith("On some day, Bob")


def test_what_a_reply_says_itself_stays() -> None:
    letter = Letter(sender=ANNA, to=(EVE,), cc=(EVE, BOB), subject="Mine", text="x")
    made = reply(letter, original(subject="Hi"), OWN, everybody=True, quote=False)
    assert (made.to, made.cc, made.subject) == ((EVE,), (BOB,), "Mine")
    more = reply(Letter(sender=ANNA, cc=(EVE, BOB)), original(), OWN, everybody=False, quote=False)
    assert (more.to, more.cc) == ((BOB,), (EVE,))


def test_a_forward_takes_the_attachments_along() -> None:
    file = Attachment(b"x", "a.bin")
    said = original(
        subject="Hi", text="words", html="<p>words</p>", attachments=(file,), cc=(EVE,), references=("r@x",)
    )  # fmt: skip
    made = forward(Letter(sender=ANNA, to=(EVE,), text="see below"), said, attach=False)
    assert made.attachments == (file,)
    assert (made.subject, made.in_reply_to, made.references) == ("Fwd: Hi", None, ("<r@x>", "<m@x>"))
    assert made.text == (
        "see below\r\n\r\n---------- Forwarded message ---------\r\nFrom: Bob <bob@example.net>\r\n"
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: Hi\r\nTo: Anna <anna@example.org>\r\n"
        "Cc: eve@example.net\r\n\r\nwords"
    )
    assert made.html is not None
    assert "see below" in made.html
    assert made.html.endswith("<p>words</p>")
    plain = forward(Letter(sender=ANNA, to=(EVE,)), original(text="words"), attach=False)
    assert (plain.html, (plain.text or "").endswith("words")) == (None, True)


def test_a_forward_as_an_attachment() -> None:
    made = forward(Letter(sender=ANNA, text="x"), original(subject='a/b:"c"\r\nd', octets=b"octets"), attach=True)
    assert made.attachments == (Attachment(b"octets", "a b c d.eml", "message/rfc822"),)
    assert made.text == "x"
    assert forward(Letter(sender=ANNA), original(), attach=True).attachments[0].filename == "message.eml"

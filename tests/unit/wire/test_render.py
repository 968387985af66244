"""Responses."""

from __future__ import annotations

import pytest

from gateway.model.body import Part, PartKind
from gateway.model.envelope import Address, Envelope
from gateway.wire import render


@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\', b'"a\\"b\\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xc3\xa4", b"{2}\r\n\xc3\xa4"),
        (b"a\x00b", b"{3}\r\na\x80b"),
        (b"\t\x7f", b'"\t\x7f"'),
        (b"x" * 4097, b"{4097}\r\n" + b"x" * 4097),
    ],
)
def test_strings(octets: bytes, wire: bytes):
    assert render.string(octets) == wire


def test_nstrings_tell_nil_from_empty():
    assert render.nstring(None) == b"NIL"
    assert render.nstring(b"") == b'""'
    assert render.nstring(b"NIL") == b'"NIL"'


@pytest.mark.parametrize(
    ("octets", "wire"),
    [(b"INBOX", b"INBOX"), (b"a]b", b"a]b"), (b"a b", b'"a b"'), (b"", b'""'), (b"nil", b'"nil"'), (b"a%", b'"a%"')],
)
def test_astrings(octets: bytes, wire: bytes):
    assert render.astring(octets) == wire


def test_mailbox_names():
    assert render.mailbox("Entwürfe") == b"Entw&APw-rfe"
    assert render.mailbox("Entwürfe", utf8=True) == '"Entwürfe"'.encode()
    assert render.mailbox("Sent Items") == b'"Sent Items"'


def test_the_envelope_of_the_rfc():
    gray = Address(b"Terry Gray", None, b"gray", b"cac.washington.edu")
    value = Envelope(
        date=b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)",
        subject=b"IMAP4rev1 WG mtg summary and minutes",
        from_=(gray,),
        sender=(gray,),
        reply_to=(gray,),
        to=(Address(None, None, b"imap", b"cac.washington.edu"),),
        cc=(
            Address(None, None, b"minutes", b"CNRI.Reston.VA.US"),
            Address(b"John Klensin", None, b"KLENSIN", b"MIT.EDU"),
        ),
        bcc=None,
        in_reply_to=None,
        message_id=b"<B27397-0100000@cac.washington.edu>",
    )
    assert render.envelope(value) == (  # RFC 3501 8
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) '
        b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
        b'"<B27397-0100000@cac.washington.edu>")'
    )


def test_groups_and_empty_lists():
    group = (Address(None, None, b"Friends", None), Address(None, None, None, None))
    value = Envelope(b"", b"", group, (), None, None, None, None, None, None)
    assert render.envelope(value) == (
        b'("" "" ((NIL NIL "Friends" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL NIL NIL NIL)'
    )


def leaf(**changes) -> Part:
    fields = {
        "kind": PartKind.LEAF, "type": b"TEXT", "subtype": b"PLAIN", "parameters": ((b"CHARSET", b"US-ASCII"),),
        "content_id": None, "description": None, "encoding": b"7BIT", "md5": None, "disposition": None,
        "languages": (), "location": None, "header_start": 0, "header_end": 0, "body_end": 3028, "lines": 92,
    }  # fmt: skip
    return Part(**(fields | changes))


LEAF = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)'


def test_the_body_of_the_rfc():
    assert render.body(leaf(), extended=False) == LEAF
    assert render.body(leaf(), extended=True) == LEAF[:-1] + b" NIL NIL NIL NIL)"


def test_a_multipart_with_all_extension_data():
    one = leaf(
        type=b"image", subtype=b"png", parameters=(), lines=None, content_id=b"<x>", description=b"d\xc3\xa4",
        md5=b"Q2hlY2s=", disposition=(b"attachment", ((b"filename", b"a.png"),)), languages=(b"en", b"de"),
        location=b"http://x", body_end=7,
    )  # fmt: skip
    both = leaf(
        kind=PartKind.MULTIPART, type=b"multipart", subtype=b"mixed", parameters=((b"boundary", b"b"),),
        disposition=(b"", ((b"x", b"y"),)), lines=None, children=(leaf(), one),
    )  # fmt: skip
    assert render.body(both, extended=False) == (
        b"(" + LEAF + b'("image" "png" NIL "<x>" {3}\r\nd\xc3\xa4 "7BIT" 7) "mixed")'
    )
    assert render.body(both, extended=True) == (
        b"(" + LEAF[:-1] + b" NIL NIL NIL NIL)"
        b'("image" "png" NIL "<x>" {3}\r\nd\xc3\xa4 "7BIT" 7 "Q2hlY2s=" ("attachment" ("filename" "a.png")) ("en" "de")'
        b' "http://x") "mixed" ("boundary" "b") ("" ("x" "y")) NIL NIL)'
    )


def test_an_encapsulated_message():
    envelope = Envelope(None, b"s", None, None, None, None, None, None, None, None)
    outer = leaf(
        kind=PartKind.MESSAGE, type=b"message", subtype=b"rfc822", parameters=(), lines=9, body_end=50,
        envelope=envelope, children=(leaf(),),
    )  # fmt: skip
    shown = b'(NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL)'
    assert render.body(outer, extended=False) == (
        b'("message" "rfc822" NIL NIL NIL "7BIT" 50 ' + shown + b" " + LEAF + b" 9)"
    )
    assert render.body(outer, extended=True).endswith(b" 9 NIL NIL NIL NIL)")


def test_depth_costs_no_stack():
    part = leaf()
    for _ in range(5000):
        part = leaf(kind=PartKind.MULTIPART, children=(part,), lines=None)
    assert render.body(part, extended=True).startswith(b"(" * 5001)


def test_uid_codes_pair_by_position():
    assert render.append_uid(38505, [(3955, 3955)]) == b"APPENDUID 38505 3955"
    assert render.copy_uid(38505, [304, 319, 320], [3956, 3957, 3958]) == b"COPYUID 38505 304,319:320 3956:3958"
    assert render.copy_uid(1, [5, 3, 4], [9, 10, 11]) == b"COPYUID 1 5,3:4 9:11"
    with pytest.raises(ValueError, match="zip"):
        render.copy_uid(1, [1, 2], [1])
    with pytest.raises(ValueError, match="nothing"):
        render.copy_uid(1, [], [])

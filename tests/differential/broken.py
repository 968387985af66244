"""Hand-made broken mail: name -> octets."""

from __future__ import annotations

from typing import Final

_HEAD: Final = b"From: Ann <ann@one.test>\r\nTo: bob@two.test\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n"
_MIME: Final = _HEAD + b"Subject: s\r\nMIME-Version: 1.0\r\n"


def _mixed(body: bytes, *, boundary: bytes = b"b", kind: bytes = b"mixed") -> bytes:
    return _MIME + b"Content-Type: multipart/" + kind + b"; boundary=" + boundary + b"\r\n\r\n" + body


def _nested(depth: int) -> bytes:
    """message/rfc822 in message/rfc822."""
    return (_MIME + b"Content-Type: message/rfc822\r\n\r\n") * depth + _HEAD + b"\r\ninnermost\r\n"


def _tree(depth: int, *, same: bool) -> bytes:
    """multipart in multipart, each with a boundary of its own or all with one."""
    out = _MIME
    for level in range(depth):
        boundary = b"b" if same else b"b%dx" % level
        out += b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n--" + boundary + b"\r\n"
    out += b"\r\ninnermost\r\n"
    for level in reversed(range(depth)):
        out += b"--" + (b"b" if same else b"b%dx" % level) + b"--\r\n"
    return out


MESSAGES: Final[dict[str, bytes]] = {
    # Where a message begins and ends.
    "empty": b"",
    "one octet": b"x",
    "line end only": b"\r\n",
    "header without end": _HEAD + b"Subject: no blank line\r\n",
    "header without last line end": _HEAD + b"Subject: cut off",
    "body only": b"\r\nNo header at all\r\n",
    "text only": b"This is no header line\r\nnor this\r\n\r\nbody\r\n",
    "mbox line": b"From ann@one.test Mon Jan  1 10:00:00 2024\r\n" + _HEAD + b"Subject: mbox\r\n\r\nbody\r\n",
    "junk between fields": _HEAD + b"this is no field\r\nSubject: after junk\r\n\r\nbody\r\n",
    "blank before colon": b"Subject : blank\r\nFrom\t: ann@one.test\r\n\r\nbody\r\n",
    "folded before colon": b"Subject\r\n : x\r\n\r\nbody\r\n",
    "first line folded": b" folded from nothing\r\nSubject: x\r\n\r\nbody\r\n",
    "blank folds": _HEAD + b"Subject: a\r\n \r\n\t\r\n b\r\n\r\nbody\r\n",
    "huge line": _HEAD + b"Subject: " + b"long " * 10_000 + b"\r\nX-After: y\r\n\r\nbody\r\n",
    "many folds": _HEAD + b"Subject: " + b"w\r\n " * 5_000 + b"\r\n\r\nbody\r\n",
    "many fields": _HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\nbody\r\n",
    "huge header": _HEAD + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 900) for n in range(400)) + b"Subject: s\r\n\r\nb\r\n",
    "header over the limit, one line": _HEAD + b"X: " + b"y" * 300_000 + b"\r\nSubject: s\r\n\r\nbody\r\n",
    # Line ends and octets.
    "bare LF": (_MIME + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n").replace(
        b"\r\n", b"\n"
    ),
    "mixed line ends": _HEAD + b"Subject: a\n b\r\n\nbody\nmore\r\nend",
    "bare CR": _HEAD + b"Subject: a\rb\r\n\r\nbody\rmore\r\r\nend\r\n",
    "CR before LF": _HEAD.replace(b"\r\n", b"\r\r\n") + b"\r\r\nbody\r\r\n",
    "NUL": _HEAD + b"Subject: a\0b\r\n\r\nbody\0more\r\n",
    "NUL in boundary": _mixed(b"--b\0c\r\n\r\none\r\n--b\0c--\r\n", boundary=b'"b\0c"'),
    "8-bit header": _HEAD + "Subject: grüße\r\nX-Latin: ".encode() + b"gr\xfc\xdfe\r\n\r\nbody\r\n",
    "8-bit names": b'From: J\xc3\xbcrgen <j@one.test>, "M\xfcller" <m@two.test>\r\nSub\xffject: x\r\n\r\nb\r\n',
    "every octet": _HEAD + b"Subject: all\r\n\r\n" + bytes(range(1, 256)) + b"\r\n",
    "controls in header": _HEAD + b"Subject: a\x01\x02\x7f\x0bb\r\n\r\nbody\r\n",
    # Boundaries.
    "no boundary end": _mixed(b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n"),
    "no last line end": _mixed(b"--b\r\n\r\none\r\n--b--"),
    "no boundary line": _mixed(b"nothing of it\r\n"),
    "no boundary parameter": _MIME + b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
    "empty boundary": _mixed(b"--\r\n\r\none\r\n----\r\n", boundary=b'""'),
    "only the end": _mixed(b"--b--\r\n"),
    "empty part": _mixed(b"--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--\r\n"),
    "part header without end": _mixed(b"--b\r\nContent-Type: text/html\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
    "blanks behind boundary": _mixed(b"--b  \t\r\n\r\none\r\n--b--  \r\n"),
    "text behind boundary": _mixed(b"--bx\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--x\r\n--b--\r\n"),
    "boundary with blanks inside": _mixed(b"--a b\r\n\r\none\r\n--a b--\r\n", boundary=b'"a b"'),
    "boundary with blank at end": _mixed(b"--b\r\n\r\none\r\n--b--\r\n", boundary=b'"b "'),
    "unquoted boundary with =": _mixed(b"------=_x\r\n\r\none\r\n------=_x--\r\n", boundary=b"----=_x"),
    "boundary twice": _MIME
    + b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
    "boundary of two lines": _mixed(b"--b\r\n\r\none\r\n--b--\r\n", boundary=b'"b\r\n c"'),
    "boundary by RFC 2231": _MIME + b"Content-Type: multipart/mixed; boundary*0=ab; boundary*1=cd\r\n\r\n"
    b"--abcd\r\n\r\none\r\n--abcd--\r\n",
    "long boundary": _mixed(b"--" + b"l" * 500 + b"\r\n\r\none\r\n--" + b"l" * 500 + b"--\r\n", boundary=b"l" * 500),
    "inner boundary never ends": _mixed(
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
    ),
    "inner boundary begins alike": _mixed(
        b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\none\r\n--bb--\r\n--b--\r\n"
    ),
    "after the end": _mixed(b"--b\r\n\r\none\r\n--b--\r\nepilogue\r\n--b\r\n\r\nno part\r\n"),
    "nested with one boundary": _tree(3, same=True),
    "nested multiparts": _tree(20, same=False),
    "nested messages": _nested(20),
    "message in multipart never ends": _mixed(
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
        b"--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
    ),
    "empty message part": _mixed(b"--b\r\nContent-Type: message/rfc822\r\n\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
    "message part is a body only": _mixed(b"--b\r\nContent-Type: message/rfc822\r\n\r\n\r\nbody\r\n--b--\r\n"),
    "message part without end of header": _mixed(b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n--b--\r\n"),
    "encoded message part": _mixed(
        b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"U3ViamVjdDogeA0KDQp5DQo=\r\n--b--\r\n"
    ),
    "digest": _mixed(
        b"--b\r\n\r\nSubject: one\r\n\r\n1\r\n--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--\r\n", kind=b"digest"
    ),
    "partial message": _mixed(b"--b\r\nContent-Type: message/partial; id=x; number=1\r\n\r\nSubject: x\r\n--b--\r\n"),
    "10,000 parts": _mixed(b"--b\r\n\r\n\r\n" * 10_050 + b"--b--\r\n"),
    "depth over the limit": _tree(120, same=False),
    # Fields of MIME.
    "no MIME-Version": _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
    "unknown type": _MIME + b"Content-Type: x-own/Thing; A=B\r\n\r\nbody\r\n",
    "type without subtype": _MIME + b"Content-Type: text\r\n\r\nbody\r\n",
    "empty type": _MIME + b"Content-Type:\r\n\r\nbody\r\n",
    "type is garbage": _MIME + b"Content-Type: ;;; = ( \r\n\r\nbody\r\n",
    "type twice": _MIME + b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\nbody\r\n",
    "type with comments": _MIME
    + b"Content-Type: (c) text (c) / (c) html (c); (c) charset (c) = (c) utf-8 (c)\r\n\r\nb\r\n",
    "quoted type": _MIME + b'Content-Type: "text/html"\r\n\r\nbody\r\n',
    "parameter without value": _MIME + b"Content-Type: text/plain; charset\r\n\r\nbody\r\n",
    "parameter with empty value": _MIME + b'Content-Type: text/plain; charset=""; format=\r\n\r\nbody\r\n',
    "unclosed quotes": _MIME + b'Content-Type: text/plain; name="unclosed\r\n\r\nbody\r\n',
    "parameters without semicolons": _MIME + b"Content-Type: text/plain charset=utf-8 format=flowed\r\n\r\nbody\r\n",
    "parameters repeated": _MIME + b"Content-Type: text/plain; a=1; A=2; a=3\r\n\r\nbody\r\n",
    "quoted pairs": _MIME + b'Content-Type: text/plain; name="a\\"b\\\\c"\r\n\r\nbody\r\n',
    "RFC 2231": _MIME
    + b"Content-Type: text/plain; name*=utf-8''gr%C3%BC%C3%9Fe; t*0*=us-ascii'en'This%20is; t*1=more\r\n"
    b"\r\nbody\r\n",
    "RFC 2231 with a gap": _MIME + b"Content-Type: text/plain; n*0=a; n*2=c\r\n\r\nbody\r\n",
    "encoded word in a parameter": _MIME
    + b'Content-Type: text/plain; name="=?utf-8?q?gr=C3=BC=C3=9Fe?="\r\n\r\nbody\r\n',
    "odd charset": _MIME + b"Content-Type: text/plain; charset=x-no-such-thing\r\n\r\ngr\xfc\xdfe\r\n",
    "charset koi8-r": _MIME + b"Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "привет".encode("koi8-r") + b"\r\n",
    "charset iso-2022-jp": _MIME
    + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
    + "日本語".encode("iso2022_jp")
    + b"\r\n",
    "charset utf-7": _MIME + b"Content-Type: text/plain; charset=utf-7\r\n\r\n+AOQ-\r\n",
    "charset utf-16": _MIME
    + b"Content-Type: text/plain; charset=utf-16; x=1\r\nContent-Transfer-Encoding: base64\r\n\r\n//5oAGkA\r\n",
    "broken utf-8": _MIME + b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\xc3 grim\r\n",
    "unknown encoding": _MIME + b"Content-Transfer-Encoding: X-Own\r\n\r\nbody\r\n",
    "encoding with comment": _MIME + b"Content-Transfer-Encoding: (c) base64 (c)\r\n\r\nYm9keSB0ZXh0\r\n",
    "encoding in quotes": _MIME + b'Content-Transfer-Encoding: "Base64"\r\n\r\nYm9keSB0ZXh0\r\n',
    "empty encoding": _MIME + b"Content-Transfer-Encoding:\r\n\r\nbody\r\n",
    "damaged base64": _MIME + b"Content-Transfer-Encoding: base64\r\n\r\nYm9k!!eSB0\r\nZXh0=\r\nYm9keQ==Ym9keQ\r\n",
    "damaged quoted-printable": _MIME + b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=ZZ=4=\r\n =3D=\r\n",
    "encoded multipart": _MIME
    + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"--b\r\n\r\none\r\n--b--\r\n",
    "all fields": _MIME
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-ID: <id@one.test>\r\nContent-Description: d e s c\r\n"
    b'Content-MD5: abc==\r\nContent-Disposition: Attachment; filename="a b.txt"; size=3\r\n'
    b"Content-Language: en, de ,fr\r\n"
    b"Content-Location: http://one.test/ x\r\n\r\nbody\r\n",
    "empty fields": _MIME + b"Content-ID:\r\nContent-Description: \r\nContent-MD5:\r\nContent-Disposition:\r\n"
    b"Content-Language:\r\nContent-Location:\r\n\r\nbody\r\n",
    "disposition of parameters only": _MIME + b"Content-Disposition: filename=x\r\n\r\nbody\r\n",
    # Fields of the envelope.
    "no fields": b"X: y\r\n\r\nbody\r\n",
    "empty envelope fields": b"From:\r\nTo:\r\nCc: \r\nSubject:\r\nDate:\r\nMessage-ID:\r\n"
    b"In-Reply-To:\r\n\r\nbody\r\n",
    "fields repeated": b"From: a@one.test\r\nFrom: b@one.test\r\nTo: c@one.test\r\nTo: d@one.test\r\nSubject: first\r\n"
    b"Subject: second\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nDate: Tue, 2 Jan 2024 10:00:00 +0000\r\n"
    b"Message-ID: <1@one.test>\r\nMessage-ID: <2@one.test>\r\n\r\nbody\r\n",
    "groups": b'To: A Group:Ed <ed@one.test>,joe@two.test,"J. D." <jd@two.test>;\r\n'
    b"Cc: Undisclosed recipients:;\r\n\r\nb\r\n",
    "routes": b"From: <@relay.test,@other.test:ann@one.test>\r\n\r\nbody\r\n",
    "comments in addresses": b"From: ann@one.test (Ann (the one) Other)\r\n"
    b"To: (c)Bob(c)<(c)bob@(c)two.test>(c)\r\n\r\nb\r\n",
    "odd addresses": b'From: ann\r\nTo: <bob@>, @two.test, <>, "" <x@one.test>, a b c@one.test, <c d@one.test>\r\n'
    b'Cc: x@one.test y@two.test, ,, "open <z@one.test>\r\n\r\nbody\r\n',
    "quoted local parts": b'From: "a b"@one.test\r\nTo: <"c\\"d"@one.test>, e@[127.0.0.1]\r\n\r\nbody\r\n',
    "encoded words": _HEAD
    + b"Subject: =?utf-8?b?R3LDvMOf?= =?utf-8?q?e_an?= =?iso-8859-1?q?_=FCber?= plain\r\n\r\nbody\r\n",
    "bad encoded words": _HEAD + b"Subject: =?utf-8?b?====?= =?x?q?a?= =?utf-8?z?a?= =?utf-8?q?=Z?= =?\r\n\r\nbody\r\n",
    "dates": b"Date: Sun, 6 Nov 94 08:49:37 EST (comment)\r\nSubject: old\r\n\r\nbody\r\n",
    "date before 1970": b"Date: Fri, 6 Nov 1964 08:49:37 +0000\r\nSubject: older\r\n\r\nbody\r\n",
    "invalid date": b"Date: yesterday at noon\r\nSubject: d\r\n\r\nbody\r\n",
    "date in another zone": b"Date: Sun, 31 Dec 2023 23:30:00 -1200\r\nSubject: z\r\n\r\nbody\r\n",
    "references": _HEAD + b"Subject: Re: s\r\nMessage-ID: <r@one.test>\r\nIn-Reply-To: text <1@one.test> text\r\n"
    b"References: <1@one.test><2@one.test> <3@one.test\r\n\r\nbody\r\n",
    # Text.
    "html": _MIME
    + b"Content-Type: text/html\r\n\r\n<p>vis<b>ible</b><!-- hidden --> <a href='href'>a&amp;b</a></p>\r\n",
    "unclosed html": _MIME + b"Content-Type: text/html\r\n\r\n<p>vis <b <script> <!-- x\r\n",
    "search across lines": _MIME + b"Content-Type: text/plain\r\n\r\nneedle one\r\nneedle two\r\n",
    "search across soft lines": _MIME
    + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nneed=\r\nle three=20four\r\n",
}

"""Parameters of Content-Type and Content-Disposition: RFC 2231 and what senders really write."""

from __future__ import annotations

import pytest

from gateway.mime.params import parse_parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"; charset=us-ascii (Plain text)", [(b"charset", b"us-ascii")]),  # RFC 2045 5.1
        (b'; charset="us-ascii"', [(b"charset", b"us-ascii")]),
        (b"; boundary=----=_x", [(b"boundary", b"----=_x")]),
        (b"; name=my holiday (1).pdf; x=y", [(b"name", b"my holiday (1).pdf"), (b"x", b"y")]),
        (b'; name="a\\"b;c.gif"; x = "y"', [(b"name", b'a"b;c.gif'), (b"x", b"y")]),
        (b'; name="never closed', [(b"name", b"never closed")]),
        (b'; a="1" b="2"', [(b"a", b"1"), (b"b", b"2")]),
        (b"; charset; x=y;", [(b"x", b"y")]),
        (b"; =x; charset=y", [(b"charset", b"y")]),
        (b"; (a; b) x=y", [(b"x", b"y")]),
        (b"; a=1; A=2", [(b"a", b"1"), (b"A", b"2")]),
        (b"; a=", [(b"a", b"")]),
        (b"", []),
        # RFC 2231 3, its first example
        (
            b'; access-type=URL; URL*0="ftp://"; URL*1="cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"',
            [(b"access-type", b"URL"), (b"URL", b"ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar")],
        ),
        # RFC 2231 4.1
        (
            b"; title*0*=us-ascii'en'This%20is%20even%20more%20; "
            b"title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
            [(b"title*", b"us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!")],
        ),
        (b"; title*=us-ascii'en-us'This%20is", [(b"title*", b"us-ascii'en-us'This%20is")]),
        (b"; n*1=b; n*0=a", [(b"n", b"ab")]),
        (b"; n*0=a; n*2=c", [(b"n", b"a"), (b"n*2", b"c")]),
        (b"; n*0=a; n*1*=%41", [(b"n*", b"''a%41")]),
    ],
)  # fmt: skip
def test_parameters(text: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert list(parse_parameters(text)) == expected

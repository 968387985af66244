"""IMAP URLs (RFC 5092): the RFC's own, those of RFC 4467 and 4469, and what names no message."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.names import canonical
from gateway.wire.fetch import SectionText
from gateway.wire.tokens import Malformed
from gateway.wire.url import TO_THE_END, Server, parse_url


def test_urls_of_the_rfcs() -> None:
    # RFC 5092 9
    url = parse_url(b"imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024")
    assert url.server == Server(None, "minbari.example.org")
    assert (url.mailbox, url.uidvalidity, url.uid) == ("gray-council", 385759045, 20)
    assert url.section.partial == (0, 1024)
    url = parse_url(b"imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97/;UID=1")
    assert url.mailbox == "~peter/日本語/台北"
    url = parse_url(b"imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;uid=20/;section=1.2")
    assert url.server == Server(None, "minbari.example.org")
    assert (url.section.path, url.section.text) == ((1, 2), SectionText.ALL)
    # RFC 4469, relative
    url = parse_url(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;Section=2.MIME")
    assert (url.server, url.mailbox, url.section.text) == (None, "Drafts", SectionText.MIME)
    assert parse_url(b";UID=7").mailbox is None
    # RFC 4467
    url = parse_url(
        b"imap://joe@example.com/INBOX/;uid=20/;section=1.2;expire=1996-12-19T16:39:57-08:00;urlauth=submit+fred"
        b":internal:91354A473744909de610943775f92038"
    )
    assert url.server == Server("joe", "example.com")
    assert url.authorization is not None
    assert (url.authorization.access, url.authorization.user) == ("submit", "fred")
    assert url.authorization.expires == 851042397
    assert url.authorization.rump.endswith(b";urlauth=submit+fred")
    assert (url.authorization.mechanism, url.authorization.token[:6]) == ("INTERNAL", b"91354A")


def test_parts_windows_and_names() -> None:
    url = parse_url(b"/a%2Fb/;UID=1/;SECTION=HEADER.FIELDS%20(From%20%22To%22)/;PARTIAL=5")
    assert (url.mailbox, url.section.fields, url.section.partial) == ("a/b", (b"From", b"To"), (5, TO_THE_END))
    assert parse_url(b"inbox/;UID=1").mailbox == "INBOX"
    assert parse_url(b"imap://a%40b.c@[::1]:993/x/;uid=1").server == Server("a@b.c", "[::1]")
    leap = parse_url(b"imap://u@h/x/;uid=1;expire=1990-12-31T23:59:60Z;urlauth=anonymous").authorization
    assert leap is not None
    assert leap.expires == 662687999


@pytest.mark.parametrize(
    "url",
    [b"", b"/", b"/INBOX", b"imap://h", b"imap://h/", b"imap://h/INBOX", b"imap://h/;uid=1", b"imap://h/INBOX?TEXT%20x",
     b"http://h/x/;uid=1", b"//h/x/;uid=1", b"/x/;uid=0", b"/x/;uid=99999999999", b"/x;uidvalidity=0/;uid=1",
     b"/x/;uid=1/;section=0", b"/x/;uid=1/;section=TEXT)", b"/x/;uid=1/;section=FOO", b"/x/;uid=1/;partial=1.0",
     b"/x/;uid=1/;partial=", b"/x/;uid=1 ", b"/x y/;uid=1", b"/%FF/;uid=1", b"/%00/;uid=1", b"/x/;uid=1;urlauth=me",
     b"/x/;uid=1;urlauth=user+", b"/x/;uid=1;urlauth=authuser:internal:12", b"/x/;uid=1;urlauth=authuser:internal",
     b"/x/;uid=1;expire=now;urlauth=authuser", b"/x/;uid=1;expire=1990-13-01T00:00:00Z;urlauth=authuser",
     b"/x/;uid=1;expire=1990-12-31T23:59:59Z", b"/x/;uid=1;urlauth=authuser;expire=1990-12-31T23:59:59Z",
     b"/x/;uid=4294967296", b"imap://u@h:999999/x/;uid=1", "/\u00e4/;uid=1".encode()],
)  # fmt: skip
def test_what_names_no_message(url: bytes) -> None:
    with pytest.raises(Malformed):
        parse_url(url)


@given(st.text(min_size=1, max_size=12).filter(lambda name: "\0" not in name), st.integers(1, 2**32 - 1))
def test_every_name_can_be_written(name: str, uid: int) -> None:
    try:
        encoded = quote(name.encode("utf-8"), safe="/").encode()
    except UnicodeEncodeError:
        return
    if encoded.startswith(b"/") or b"//" in encoded:
        encoded = encoded.replace(b"/", b"%2F")
    url = parse_url(b"/%b/;UID=%d" % (encoded, uid))
    assert (url.mailbox, url.uid) == (canonical(name), uid)


PIECES = st.sampled_from([b"/;UID=", b"1", b"a", b"/", b"imap://", b"%", b";URLAUTH=", b";EXPIRE=", b"/;PARTIAL="])


@given(st.binary(max_size=60) | st.lists(PIECES).map(b"".join))
def test_no_octets_raise_anything_else(url: bytes) -> None:
    try:
        parse_url(url)
    except Malformed:
        return

"""The scanner under any octets and any cutting; beside the standard library for well-formed messages."""

from __future__ import annotations

import email
import email.policy
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mime import (
    Scanner,
    decode_body,
    decode_parts,
    encode_parts,
    fields,
    find_section,
    parse,
    select_fields,
    to_text,
)
from gateway.mime import scanner as scanner_module
from gateway.model.body import ParsedMessage, Part, PartKind
from tests.support.soak import examples

# Pieces that make interesting messages likely: boundaries that nest, repeat and begin alike, headers, line ends.
PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=bb\n",
        b"Content-Type: multipart/mixed; boundary=b-\r\n", b"Content-Type: message/rfc822\r\n", b"\r\n", b"\n", b"\r",
        b"Content-Type: text/html\r\n", b"Content-Type: application/x;\r\n name=y\r\n", b"--b", b"--b--", b"--bb",
        b"--bb--", b"--b-", b"--b---", b"--b\r\n", b"\r\n--b\r\n", b"\n--bb\n", b"\r\n--b--\r\n", b"\r\n--bb--\n",
        b" ", b"\t", b"-", b"--", b"text", b"Subject: x\r\n", b"\0", b"\r\n\r\n", b"\n\n", b"\xff", b" " * 2100,
    ]
)  # fmt: skip
MESSAGES = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b"".join))


def in_chunks(octets: bytes, cuts: list[int]) -> ParsedMessage:
    scanner = Scanner()
    at = 0
    for cut in cuts:
        scanner.feed(octets[at : at + cut])
        at += cut
    scanner.feed(octets[at:])
    return scanner.finish()


def without_coalescing(octets: bytes, size: int) -> ParsedMessage:
    """Every chunk is scanned at once, as if each were large."""
    saved = scanner_module._COALESCE
    scanner_module._COALESCE = 1  # type: ignore[misc]
    try:
        return in_chunks(octets, [size] * (len(octets) // size))
    finally:
        scanner_module._COALESCE = saved  # type: ignore[misc]


def check(part: Part, octets: bytes, *, root: bool = True) -> None:
    """Offsets in range, nested, ordered, and what they cut out is what it should be."""
    assert 0 <= part.header_start <= part.header_end <= part.body_end <= len(octets)
    content = octets[part.header_end : part.body_end]
    if part.lines is not None:
        assert part.lines == content.count(b"\n")
    assert (part.lines is not None) == (part.kind is PartKind.MESSAGE or part.type == b"text")
    assert (part.envelope is not None) == (part.kind is PartKind.MESSAGE)
    if part.kind is PartKind.LEAF:
        assert part.children == ()
    elif part.kind is PartKind.MESSAGE:
        (child,) = part.children
        assert child.header_start == part.header_end
        assert child.body_end == part.body_end
    at = part.header_end
    assert part.children or part.kind is PartKind.LEAF
    for child in part.children:
        assert child.header_start >= at
        assert child.body_end <= part.body_end
        at = child.body_end
        check(child, octets, root=False)
    if root:
        assert part.header_start == part.header_end == 0
        assert part.body_end == len(octets)


@settings(max_examples=examples(400))
@given(MESSAGES)
def test_any_octets_yield_parts_that_fit(octets: bytes) -> None:
    message = parse(octets)
    assert octets.startswith(message.header)
    assert message.body_size == len(octets) - len(message.header)
    assert message.has_nul == (b"\0" in octets)
    check(message.root, octets[len(message.header) :])


@settings(max_examples=examples(400))
@given(MESSAGES, st.lists(st.integers(0, 40), max_size=20), st.integers(1, 7))
def test_chunking_is_invisible(octets: bytes, cuts: list[int], size: int) -> None:
    whole = parse(octets)
    assert in_chunks(octets, cuts) == whole
    assert without_coalescing(octets, size) == whole


@settings(max_examples=examples(25))
@given(MESSAGES, st.integers(0, 70), st.sampled_from([1, 3, 61, 1000]))
def test_chunking_is_invisible_at_the_limits(octets: bytes, distance: int, size: int) -> None:
    """Headers that end, or hold a boundary, around the limit of a header (made small here)."""
    saved = scanner_module.MAX_HEADER
    scanner_module.MAX_HEADER = 100  # type: ignore[misc]
    try:
        head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        text = head + b"X: " + b"y" * distance + b"\r\nZ: zzzzzz\r\n" + octets
        whole = parse(text)
        check(whole.root, text[len(whole.header) :])
        assert without_coalescing(text, size) == whole
    finally:
        scanner_module.MAX_HEADER = saved  # type: ignore[misc]


@settings(max_examples=examples(200))
@given(MESSAGES, st.lists(st.integers(0, 4), max_size=5).map(tuple))
def test_the_stored_table_holds_the_same_parts(octets: bytes, path: tuple[int, ...]) -> None:
    root = parse(octets).root
    node = decode_parts(encode_parts(root))
    pairs = [(root, node)]
    while pairs:
        part, same = pairs.pop()
        assert (part.kind, part.type, part.subtype, part.encoding) == (
            same.kind,
            same.type,
            same.subtype,
            same.encoding,
        )
        assert (part.header_start, part.header_end, part.body_end) == (
            same.header_start,
            same.header_end,
            same.body_end,
        )
        pairs += zip(part.children, same.children, strict=True)
    found = find_section(node, path)
    if found is not None:
        assert 0 <= found.header_start <= found.body_end <= node.body_end


HEADERS = st.lists(
    st.sampled_from(
        [b"To: a\r\n", b"From: b\n", b"X:\r\n", b" folded\r\n", b"junk\r\n", b"TO : c\r\n", b"\tz\n", b":", b"To"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(HEADERS, st.sampled_from([b"\r\n", b"\n", b""]))
def test_chosen_fields_and_the_others_are_all_fields(lines: bytes, blank: bytes) -> None:
    header = parse(lines + blank).header
    chosen = select_fields(header, [b"to", b"x"])
    others = select_fields(header, [b"to", b"x"], True)
    assert chosen.endswith(b"\r\n")
    assert others.endswith(b"\r\n")
    wanted = [field for field in fields(header) if field.name.lower() in (b"to", b"x")]
    assert [(f.name, f.value) for f in fields(chosen)] == [(f.name, f.value) for f in wanted]
    assert [f.name for f in fields(others)] == [f.name for f in fields(header) if f.name.lower() not in (b"to", b"x")]
    if header.endswith(b"\n"):
        assert chosen == b"".join(f.raw for f in wanted) + b"\r\n"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=60)


def leaf(text: str) -> MIMEText:
    return MIMEText(text, "plain", "utf-8")


def binary(octets: bytes) -> MIMEBase:
    part = MIMEBase("application", "octet-stream")
    part.set_payload(octets)
    email.encoders.encode_base64(part)
    return part


def joined(parts: list[MIMEBase]) -> MIMEMultipart:
    whole = MIMEMultipart("mixed")
    for part in parts:
        whole.attach(part)
    return whole


def forwarded(part: MIMEBase) -> MIMEMessage:
    return MIMEMessage(part)


WELL_FORMED = st.recursive(
    st.one_of(TEXTS.map(leaf), st.binary(max_size=60).map(binary)),
    lambda inner: st.one_of(st.lists(inner, min_size=1, max_size=4).map(joined), inner.map(forwarded)),
    max_leaves=8,
)


def leaves(part: Part) -> list[Part]:
    return [part] if not part.children else [found for child in part.children for found in leaves(child)]


@settings(max_examples=examples(100))
@given(WELL_FORMED)
def test_well_formed_messages_read_as_the_standard_library_reads_them(message: MIMEBase) -> None:
    octets = message.as_bytes(policy=email.policy.SMTP)
    parsed = parse(octets)
    body = octets[len(parsed.header) :]
    theirs = [part for part in email.message_from_bytes(octets).walk() if not part.is_multipart()]
    ours = leaves(parsed.root)
    assert [f"{part.type.decode()}/{part.subtype.decode()}" for part in ours] == [p.get_content_type() for p in theirs]
    for part, same in zip(ours, theirs, strict=True):
        payload = same.get_payload(decode=True)
        assert isinstance(payload, bytes)
        content = decode_body(body[part.header_end : part.body_end], part.encoding)
        assert to_text(content, b"utf-8").rstrip() == to_text(payload, b"utf-8").rstrip()

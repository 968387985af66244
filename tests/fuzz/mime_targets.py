"""Fuzz targets of `gateway.mime`: any octets are mail. Nothing raises, no octet is lost, pieces make no difference."""

from __future__ import annotations

from itertools import pairwise

from gateway.mime import (
    Scanner,
    base_subject,
    decode_body,
    decode_parts,
    decode_text,
    decoder_for,
    encode_parts,
    envelope_of,
    field_selector,
    fields,
    find_section,
    fold,
    index_fields,
    is_reply_or_forward,
    message_ids,
    parse,
    parse_addresses,
    parse_date,
    parse_sent_date,
    preview_of,
    select_fields,
    text_of,
    text_parts,
    to_text,
    unfold,
)
from gateway.mime import address as address_module
from gateway.mime import scanner as scanner_module
from gateway.mime.header import strip_comments
from gateway.mime.params import parse_parameters
from gateway.model.body import Part, PartKind
from gateway.model.envelope import Address
from gateway.wire import render
from gateway.wire.tokens import Cursor


def scan(data: bytes) -> None:
    """A message: the first octet says in what pieces it comes."""
    if not data:
        return
    size, octets = data[0] % 64 + 1, data[1:]
    whole = parse(octets)
    assert whole.header + octets[len(whole.header) :] == octets
    assert whole.body_size == len(octets) - len(whole.header)
    assert whole.has_nul == (b"\0" in octets)
    body = octets[len(whole.header) :]
    check_parts(whole.root, body)
    assert _in_pieces(octets, size) == whole
    root = decode_parts(encode_parts(whole.root))
    for path in ((1,), (1, 1), (2,), (1, 2, 1)):
        found = find_section(root, path)
        assert found is None or 0 <= found.header_start <= found.header_end <= found.body_end <= len(body)
    for part in text_parts(root):
        _text(decode_body(body[part.header_end : part.body_end], part.encoding), part.charset, part.subtype)
    preview_of(root, lambda start, stop: body[start:stop]).encode("utf-8")
    _reads_back(render.envelope(envelope_of(index_fields(whole.header))))
    _reads_back(render.body(whole.root, True))


def _in_pieces(octets: bytes, size: int) -> object:
    """As if each piece were large: small ones wait for each other else."""
    saved = scanner_module._COALESCE
    scanner_module._COALESCE = 1  # type: ignore[misc]
    try:
        scanner = Scanner()
        for start, stop in pairwise([*range(0, len(octets), size), len(octets)]):
            scanner.feed(octets[start:stop])
        return scanner.finish()
    finally:
        scanner_module._COALESCE = saved  # type: ignore[misc]


def check_parts(root: Part, body: bytes) -> None:
    """Parts lie inside their parent, in order, without overlap."""
    stack = [root]
    while stack:
        part = stack.pop()
        assert 0 <= part.header_start <= part.header_end <= part.body_end <= len(body)
        assert (part.lines is not None) == (part.kind is PartKind.MESSAGE or part.type == b"text")
        assert part.lines is None or part.lines == body.count(b"\n", part.header_end, part.body_end)
        assert (part.envelope is not None) == (part.kind is PartKind.MESSAGE)
        assert bool(part.children) == (part.kind is not PartKind.LEAF)
        at = part.header_end
        for child in part.children:
            assert child.header_start >= at
            at = child.body_end
        assert at <= part.body_end
        stack += part.children


def _reads_back(rendered: bytes) -> None:
    """What is sent is in the grammar: literals hold any octet but NUL, which never goes out (architecture.md, 4)."""
    literals: list[bytes] = []
    text = bytearray()
    at = 0
    while (start := rendered.find(b"}\r\n", at)) >= 0:
        opened = rendered.rfind(b"{", at, start)
        digits = rendered[opened + 1 : start]
        if opened < 0 or not digits.isdigit():
            text += rendered[at : start + 3]
            at = start + 3
            continue
        text += rendered[at : start + 1] + b"\n"
        at = start + 3 + int(digits)
        literals.append(rendered[start + 3 : at].replace(b"\0", b"\x80"))
    cursor = Cursor(bytes(text) + rendered[at:], tuple(literals))
    cursor.value(depth=1000)
    cursor.end()


def _text(octets: bytes, charset: bytes | None, subtype: bytes) -> None:
    text = text_of(octets, charset, subtype)
    text.encode("utf-8")
    fold(text)


_NAMES = (b"subject", b"to", b"x-a")


def headers(data: bytes) -> None:
    """The names of fields before a NUL, then a header: chosen fields and the others are all fields, as they stood."""
    listed, _, header = data.partition(b"\0")
    names = tuple(name for name in listed.lower().split(b",")[:20] if name) or _NAMES
    header = parse(header).header
    chosen, others = select_fields(header, names), select_fields(header, names, True)
    assert chosen == field_selector(names)(header)
    assert chosen.endswith(b"\r\n")
    assert others.endswith(b"\r\n")
    every = fields(header)
    wanted = [field for field in every if field.name.lower() in names]
    assert [(field.name, field.value) for field in fields(chosen)] == [(field.name, field.value) for field in wanted]
    left = [field.name for field in every if field.name.lower() not in names]
    assert [field.name for field in fields(others)] == left
    if header.endswith(b"\n"):
        assert chosen == b"".join(field.raw for field in wanted) + b"\r\n"
    index = index_fields(header)
    assert sum(map(len, index.values())) == len(every)
    envelope_of(index)


def field_values(data: bytes) -> None:
    """Addresses, parameters, ids and dates: groups balance, the fast way reads as the full one."""
    text = unfold(data)
    found: list[Address] = []
    address_module._Reader(text, 0, found).read()
    assert parse_addresses(data) == tuple(found)
    inside = False
    for address in found:
        if address.host is None:
            assert inside == (address.mailbox is None)
            inside = not inside
    assert not inside
    for name, _ in parse_parameters(data):
        assert name
    assert len(strip_comments(data)) <= len(data)
    for one in message_ids(data):
        assert one
        assert not set(one) & set(b"\r\n \t")


def sent_dates(data: bytes) -> None:
    found = parse_sent_date(data)
    assert parse_date(data) == (None if found is None else found.utc)
    if found is not None:
        assert abs(found.utc - found.day * 86_400) < 6 * 86_400  # a zone of up to 99 hours, and a day


def texts(data: bytes) -> None:
    """A charset and subtype before a NUL, then text: always valid Unicode, and no part of it is lost by folding."""
    charset, _, octets = data.partition(b"\0")
    decode_text(octets).encode("utf-8")
    _text(octets, charset, b"plain")
    _text(octets, charset, b"html")
    text = to_text(octets, charset)
    half = len(text) // 2
    assert fold(text[:half]) + fold(text[half:]) == fold(text)
    subject = decode_text(octets)
    base = base_subject(subject)
    assert base_subject(base) == base
    assert not is_reply_or_forward(base)


_ENCODINGS = (b"base64", b"quoted-printable", b"8bit", b"x-uuencode", b"unknown")


def encodings(data: bytes) -> None:
    """Transfer encodings: nothing grows; pieces make a difference in noise only, of which not all is held."""
    if len(data) < 2:
        return
    encoding, size, octets = _ENCODINGS[data[0] % len(_ENCODINGS)], data[1] or 1, data[2:]
    whole = decode_body(octets, encoding)
    assert len(whole) <= len(octets) + 1
    decoder = decoder_for(encoding)
    if decoder is not None and octets.count(b"=") <= 64 and len(octets) < 65_536:
        pieces = [decoder.feed(octets[at : at + size]) for at in range(0, len(octets), size)]
        assert b"".join(pieces) + decoder.finish() == whole

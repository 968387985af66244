"""The messages of the standard library's email tests, read beside the standard library's own parser."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import Message
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.mime import decode_body, parse
from gateway.model.body import Part, PartKind


def corpus() -> list[Path]:
    spec = find_spec("test.test_email")
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "data").glob("msg_*.txt"))


FILES = corpus()
needs_corpus = pytest.mark.skipif(not FILES, reason="the standard library's test_email data is not installed")

# Damaged or unusual messages that the standard library takes apart differently (it ends a header at the first line
# that is no field, makes parts of a delivery status, gives up on nested multiparts with one boundary). The outlines
# are those that Dovecot 2.3.19 shows, but for msg_14 (bad type) and msg_33 (RFC 2231 boundary),
# where an unparsable type is plain text and the tolerant reading finds the parts.
OUTLINES = {
    "msg_14": "plain",
    "msg_15": "mixed(alternative(plain html) gif)",
    "msg_16": "report(plain delivery-status rfc822(plain))",
    "msg_17": "mixed(plain)",
    "msg_19": "plain",
    "msg_25": "report(plain)",
    "msg_31": "mixed(plain)",
    "msg_33": "signed(plain plain)",
    "msg_35": "plain",
    "msg_36": "mixed(plain alternative(external-body external-body))",
    "msg_37": "mixed(x-one plain x-two plain plain plain x-two)",
    "msg_38": "mixed(mixed(alternative(plain) plain) plain plain)",
    "msg_39": "mixed(mixed(alternative(octet-stream octet-stream) alternative(octet-stream octet-stream)"
    " alternative(octet-stream octet-stream)) plain)",
    "msg_41": "alternative(plain)",
    "msg_42": "mixed(plain rfc822(mixed(plain)))",
    "msg_43": "report(plain delivery-status rfc822-headers)",
    "msg_47": "mixed(plain html)",
}


def outline(part: Part) -> str:
    inner = " ".join(outline(child) for child in part.children)
    return f"{part.subtype.decode()}({inner})" if inner else part.subtype.decode()


def leaves(part: Part) -> list[Part]:
    if part.kind is PartKind.LEAF:
        return [part]
    return [leaf for child in part.children for leaf in leaves(child)]


def library_leaves(message: Message) -> list[Message]:
    return [part for part in message.walk() if not part.is_multipart()]


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("crlf", [False, True])
def test_corpus(path: Path, crlf: bool) -> None:
    octets = path.read_bytes()
    if crlf:
        octets = re.sub(rb"\r?\n", b"\r\n", octets)
    message = parse(octets)
    body = octets[len(message.header) :]
    assert message.header + body == octets
    assert message.body_size == len(body)
    if path.stem in OUTLINES:
        assert outline(message.root) == OUTLINES[path.stem]
        return
    ours = leaves(message.root)
    theirs = library_leaves(email.message_from_bytes(octets, policy=email.policy.compat32))
    assert [f"{leaf.type.decode()}/{leaf.subtype.decode()}" for leaf in ours] == [
        part.get_content_type() for part in theirs
    ]
    for leaf, part in zip(ours, theirs, strict=True):
        content = body[leaf.header_end : leaf.body_end]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert decode_body(content, leaf.encoding).rstrip(b"\r\n") == payload.rstrip(b"\r\n")

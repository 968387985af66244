"""The scanner: where parts begin and end, what they are called, and what limits do."""

from __future__ import annotations

import pytest

from gateway.mime import Scanner, parse
from gateway.mime import scanner as module
from gateway.model.body import ParsedMessage, Part, PartKind


def body_of(message: ParsedMessage, octets: bytes) -> bytes:
    return octets[len(message.header) :]


def content(part: Part, body: bytes) -> bytes:
    return body[part.header_end : part.body_end]


def outline(part: Part) -> object:
    """type/subtype, with the children's outlines where there are any."""
    name = f"{part.type.decode()}/{part.subtype.decode()}"
    return (name, [outline(child) for child in part.children]) if part.children else name


def multipart(*parts: bytes, boundary: bytes = b"b", kind: bytes = b"mixed", tail: bytes = b"") -> bytes:
    head = b"Content-Type: multipart/" + kind + b"; boundary=" + boundary + b"\r\n\r\n"
    pieces = [b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts]
    return head + b"".join(pieces) + b"--" + boundary + b"--\r\n" + tail


def test_plain_message() -> None:
    octets = b"Subject: x\r\n\r\none\r\ntwo"
    message = parse(octets)
    assert message.header == b"Subject: x\r\n\r\n"
    assert message.body_size == 8
    root = message.root
    assert (root.kind, root.type, root.subtype) == (PartKind.LEAF, b"text", b"plain")
    assert root.parameters == ((b"charset", b"us-ascii"),)
    assert (root.header_start, root.header_end, root.body_end, root.lines, root.size) == (0, 0, 8, 1, 8)
    assert root.envelope is None


@pytest.mark.parametrize(
    ("octets", "header", "size"),
    [
        (b"", b"", 0),
        (b"\r\n", b"\r\n", 0),
        (b"\r\nbody", b"\r\n", 4),
        (b"\nbody", b"\n", 4),
        (b"A: b", b"A: b", 0),
        (b"A: b\r\n", b"A: b\r\n", 0),
        (b"A: b\n\nx", b"A: b\n\n", 1),
        (b"A: b\r\n\nx", b"A: b\r\n\n", 1),
        (b"A: b\n\r\nx", b"A: b\n\r\n", 1),
        (b"\r", b"\r", 0),
        (b"no field\r\n\r\nx", b"no field\r\n\r\n", 1),
    ],
)
def test_where_the_header_ends(octets: bytes, header: bytes, size: int) -> None:
    message = parse(octets)
    assert message.header == header
    assert message.body_size == size
    assert message.header + octets[len(header) :] == octets


def test_rfc_2046_example() -> None:
    """RFC 2046 5.1.1: one implicitly typed part without, one explicitly typed part with a last line end."""
    octets = (
        b"From: Nathaniel Borenstein <nsb@bellcore.com>\r\nMIME-Version: 1.0\r\n"
        b'Content-type: multipart/mixed; boundary="simple boundary"\r\n\r\n'
        b"This is the preamble.\r\n\r\n--simple boundary\r\n\r\n"
        b"This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.\r\n"
        b"--simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\n"
        b"This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n\r\n"
        b"--simple boundary--\r\n\r\nThis is the epilogue.  It is also to be ignored.\r\n"
    )
    message = parse(octets)
    body = body_of(message, octets)
    first, second = message.root.children
    assert content(first, body).endswith(b"with a linebreak.")
    assert first.lines == 1
    assert body[first.header_start : first.header_end] == b"\r\n"
    assert content(second, body).endswith(b"with a linebreak.\r\n")
    assert second.lines == 2
    assert body[second.header_start : second.header_end] == b"Content-type: text/plain; charset=us-ascii\r\n\r\n"
    assert message.root.body_end == len(body)
    assert message.root.lines is None


def test_bare_line_feeds_are_line_ends_and_the_one_before_a_boundary_belongs_to_it() -> None:
    octets = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\none\ntwo\n--b--\n"
    message = parse(octets)
    (part,) = message.root.children
    assert content(part, body_of(message, octets)) == b"one\ntwo"
    assert part.lines == 1


@pytest.mark.parametrize(
    ("line", "is_boundary"),
    [
        (b"--b", True), (b"--b \t ", True), (b"--b\t", True), (b"--bb", False), (b"--b x", False), (b"-- b", False),
        (b" --b", False), (b"--B", False), (b"--b-", False), (b"--b" + b" " * 3000, False),
    ],
)  # fmt: skip
def test_what_is_a_boundary_line(line: bytes, is_boundary: bool) -> None:
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n" + line + b"\r\n\r\ny\r\n--b--"
    assert len(parse(octets).root.children) == (2 if is_boundary else 1)


def test_an_outer_boundary_ends_an_unfinished_inner_multipart() -> None:
    octets = (
        b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n"
        b"Content-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\r\none\r\n"
        b"--outer\r\nContent-Type: text/html\r\n\r\ntwo\r\n--outer--\r\n"
    )
    message = parse(octets)
    assert outline(message.root) == (
        "multipart/mixed", [("multipart/alternative", ["text/plain"]), "text/html"],
    )  # fmt: skip
    assert content(message.root.children[0].children[0], body_of(message, octets)) == b"one"


def test_a_nested_multipart_with_the_same_boundary_closes_first() -> None:
    octets = multipart(multipart(b"\r\none").removesuffix(b"\r\n"), b"Content-Type: text/html\r\n\r\ntwo")
    assert outline(parse(octets).root) == ("multipart/mixed", [("multipart/mixed", ["text/plain"]), "text/html"])


def test_boundaries_that_begin_alike() -> None:
    inner = multipart(b"\r\none", b"\r\ntwo", boundary=b"b-1").removesuffix(b"\r\n")
    assert outline(parse(multipart(inner, b"\r\nthree")).root) == (
        "multipart/mixed", [("multipart/mixed", ["text/plain", "text/plain"]), "text/plain"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "octets",
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing of it",
        b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\n--x--",
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\n',
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
    ],
)
def test_a_multipart_without_parts_shows_one_empty_text(octets: bytes) -> None:
    root = parse(octets).root
    assert root.kind is PartKind.MULTIPART
    (part,) = root.children
    assert (part.kind, part.type, part.subtype, part.size, part.lines) == (PartKind.LEAF, b"text", b"plain", 0, 0)
    assert part.header_start == part.header_end == root.body_end


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/mixed; boundary=----=_x", b"multipart/mixed; boundary=\"----=_x\"",
        b"multipart/mixed; boundary*0=----; boundary*1==_x", b"multipart/mixed; boundary*=us-ascii''----%3D_x",
        b"Multipart/Mixed;\r\n\tBOUNDARY=----=_x ; charset=x", b"multipart/mixed (c); boundary=----=_x (c)",
        b"multipart/mixed boundary=----=_x",
    ],
)  # fmt: skip
def test_boundary_parameter_spellings(content_type: bytes) -> None:
    octets = (
        b"Content-Type: " + content_type + b"\r\n\r\n------=_x\r\n\r\none\r\n------=_x\r\n\r\ntwo\r\n------=_x--\r\n"
    )
    assert len(parse(octets).root.children) == 2


def test_digest_children_are_messages() -> None:
    octets = multipart(
        b"\r\nSubject: one\r\n\r\n1",
        b"Content-Type: text/plain\r\n\r\n2",
        b"Content-Type: bad\r\n\r\n3",
        kind=b"digest",
    )
    root = parse(octets).root
    assert outline(root) == (
        "multipart/digest", [("message/rfc822", ["text/plain"]), "text/plain", "text/plain"],
    )  # fmt: skip
    assert root.children[0].envelope is not None
    assert root.children[0].envelope.subject == b"one"


@pytest.mark.parametrize("subtype", [b"rfc822", b"RFC822", b"global"])
def test_encapsulated_message(subtype: bytes) -> None:
    inner = b"Subject: inner\r\n" + multipart(b"\r\none", boundary=b"i")
    octets = multipart(b"Content-Type: message/" + subtype + b"\r\n\r\n" + inner, b"\r\ntwo")
    message = parse(octets)
    body = body_of(message, octets)
    part = message.root.children[0]
    assert part.kind is PartKind.MESSAGE
    assert content(part, body) == inner
    assert part.lines == inner.count(b"\r\n")
    assert part.envelope is not None
    assert part.envelope.subject == b"inner"
    (child,) = part.children
    assert child.header_start == part.header_end
    assert body[child.header_start : child.header_end].startswith(b"Subject: inner\r\n")
    assert body[child.header_start : child.header_end].endswith(b"boundary=i\r\n\r\n")
    assert child.body_end == part.body_end
    assert outline(child) == ("multipart/mixed", ["text/plain"])


def test_a_boundary_ends_unfinished_headers() -> None:
    octets = multipart(b"Content-Type: message/rfc822\r\nX: y", b"Content-Type: text/html")
    message = parse(octets)
    body = body_of(message, octets)
    first, second = message.root.children
    assert body[first.header_start : first.header_end] == b"Content-Type: message/rfc822\r\nX: y"
    assert first.kind is PartKind.MESSAGE
    assert first.size == 0
    assert (first.children[0].type, first.children[0].size) == (b"text", 0)
    assert body[second.header_start : second.header_end] == b"Content-Type: text/html"


def test_message_of_message_of_message() -> None:
    octets = b"Content-Type: message/rfc822\r\n\r\n" * 3 + b"\r\nend"
    part = parse(octets).root
    for _ in range(3):
        assert part.kind is PartKind.MESSAGE
        (part,) = part.children
    assert (part.kind, part.size, part.lines) == (PartKind.LEAF, 3, 0)


def test_depth_limit() -> None:
    octets = b""
    for level in range(150):
        octets += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
    part = parse(octets + b"\r\nend").root
    depth = 1
    while part.children:
        (part,) = part.children
        depth += 1
    assert depth == module.MAX_DEPTH + 1
    assert (part.kind, part.type, part.subtype) == (PartKind.LEAF, b"application", b"octet-stream")


def test_part_limit_leaves_the_rest_in_one_leaf() -> None:
    octets = multipart(*[b"\r\nx"] * 12_000)
    message = parse(octets)
    children = message.root.children
    assert len(children) == module.MAX_PARTS - 1  # the root is one
    assert children[-2].size == 1
    assert children[-1].body_end == message.body_size


def test_limit_of_all_nested_headers() -> None:
    octets = multipart(*[b"X: " + b"y" * 200_000 + b"\r\n\r\nx"] * 30)
    message = parse(octets)
    assert len(message.root.children) == 21
    assert message.root.children[-1].body_end == message.body_size


@pytest.mark.parametrize("line_end", [b"\r\n", b""])
def test_an_endless_header_is_cut_and_the_message_shown_as_one_part(line_end: bytes) -> None:
    octets = multipart(b"\r\none")
    octets = b"Content-Type: multipart/mixed; boundary=b\r\nX: " + (b"y" * 60 + line_end + b" ") * 6000 + octets
    message = parse(octets)
    assert len(message.header) <= module.MAX_HEADER
    assert message.header == octets[: len(message.header)]
    assert len(message.header) + message.body_size == len(octets)
    assert message.root.kind is PartKind.LEAF
    assert (message.root.type, message.root.subtype) == (b"application", b"octet-stream")
    assert message.root.body_end == message.body_size


def test_an_endless_nested_header_is_cut() -> None:
    octets = multipart(b"X: y\r\n" * 60_000 + b"\r\nz", b"Content-Type: text/html\r\n\r\nnext")
    message = parse(octets)
    first, second = message.root.children
    assert module.MAX_HEADER - 6 <= first.header_end - first.header_start <= module.MAX_HEADER
    assert outline(second) == "text/html"


def test_header_is_known_before_the_body() -> None:
    scanner = Scanner()
    scanner.feed(b"A: b\r\n\r")
    assert not scanner.header_complete
    scanner.feed(b"\nbody")
    assert scanner.header_complete
    assert scanner.header == b"A: b\r\n\r\n"
    assert scanner.finish().body_size == 4
    assert scanner.finish() is scanner.finish()


def test_the_body_is_never_held() -> None:
    scanner = Scanner()
    scanner.feed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n")
    for _ in range(64):
        scanner.feed(b"x\r\n--bx\r\n" * 8192)
        assert len(scanner._buffer) <= 4096


@pytest.mark.parametrize("octets", [b"A: \0\r\n\r\n", b"A: b\r\n\r\n\0"])
def test_nul_is_noticed(octets: bytes) -> None:
    assert parse(octets).has_nul
    assert not parse(octets.replace(b"\0", b"0")).has_nul


def test_identity_of_a_message() -> None:
    message = parse(
        b"Message-ID: <me@x>\r\nIn-Reply-To: Your mail <p@x>\r\nReferences: <r@x>\r\n <p @x> junk\r\n"
        b"Date: Thu, 1 Jan 1970 00:00:01 +0000\r\n\r\n"
    )
    assert message.message_id == b"me@x"
    assert message.in_reply_to == (b"p@x",)
    assert message.references == (b"r@x", b"p@x")
    assert message.sent_date == 1


def test_very_many_references_keep_the_root_and_the_latest() -> None:
    ids = b" ".join(b"<%d@x>" % number for number in range(500))
    references = parse(b"References: " + ids + b"\r\n\r\n").references
    assert len(references) == 100
    assert references[0] == b"0@x"
    assert references[1:] == tuple(b"%d@x" % number for number in range(401, 500))

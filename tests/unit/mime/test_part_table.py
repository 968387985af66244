"""The stored table of parts and IMAP's section numbers."""

from __future__ import annotations

import pytest

from gateway.mime import PartNode, decode_parts, encode_parts, find_section, node_of, parse, searched_parts, text_parts

# RFC 3501 6.4.5: the example of section numbers, as a message
EXAMPLE = b"""Content-Type: multipart/mixed; boundary=o

--o
Content-Type: text/plain

1
--o
Content-Type: application/octet-stream

2
--o
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=t

--t
Content-Type: text/plain

3.1
--t
Content-Type: application/octet-stream

3.2
--t--
--o
Content-Type: multipart/mixed; boundary=f

--f
Content-Type: image/gif

4.1
--f
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=g

--g
Content-Type: text/plain

4.2.1
--g
Content-Type: multipart/alternative; boundary=h

--h
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: BASE64

4.2.2.1
--h
Content-Type: text/richtext

4.2.2.2
--h--
--g--
--f--
--o--
"""


def tree(octets: bytes) -> PartNode:
    return node_of(parse(octets).root)


@pytest.mark.parametrize(
    "number", ["1", "2", "3.1", "3.2", "4.1", "4.2.1", "4.2.2.1", "4.2.2.2"]
)  # fmt: skip
def test_sections_of_the_rfc(number: str) -> None:
    message = parse(EXAMPLE)
    node = find_section(node_of(message.root), tuple(map(int, number.split("."))))
    assert node is not None
    body = EXAMPLE[len(message.header) :]
    assert body[node.header_end : node.body_end] == number.encode()


@pytest.mark.parametrize("path", [(0,), (5,), (1, 1), (3, 3), (4, 3), (4, 2, 3), (4, 1, 1), (2, 1), (1 << 40,)])
def test_sections_that_do_not_exist(path: tuple[int, ...]) -> None:
    assert find_section(tree(EXAMPLE), path) is None


def test_kinds_on_the_way() -> None:
    root = tree(EXAMPLE)
    assert find_section(root, ()) is root
    third = find_section(root, (3,))
    assert third is not None
    assert (third.type, third.subtype) == (b"message", b"rfc822")
    nested = find_section(root, (4, 2, 2))
    assert nested is not None
    assert nested.subtype == b"alternative"


def test_part_one_of_a_message_that_is_no_multipart() -> None:
    root = tree(b"Content-Type: text/html\r\n\r\nx")
    assert find_section(root, (1,)) is root
    assert find_section(root, (1, 1)) is None
    assert find_section(root, (2,)) is None


def test_a_message_in_a_message() -> None:
    root = tree(b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nend")
    assert find_section(root, (1,)) is root
    assert find_section(root, (1, 1)) is root.children[0]
    assert find_section(root, (1, 1, 1)) is root.children[0].children[0]
    assert find_section(root, (1, 1, 1, 1)) is None


def test_charset_and_encoding_are_kept() -> None:
    node = find_section(tree(EXAMPLE), (4, 2, 2, 1))
    assert node is not None
    assert (node.charset, node.encoding, node.size) == (b"utf-8", b"base64", 7)
    assert tree(b"Content-Type: image/png\r\n\r\n").charset is None
    assert tree(b"Content-Type: text/plain; charset*=us-ascii''ISO-8859-2\r\n\r\n").charset == b"iso-8859-2"


def test_text_parts_in_message_order() -> None:
    assert [node.subtype for node in text_parts(tree(EXAMPLE))] == [b"plain", b"plain", b"plain", b"plain", b"richtext"]


def test_what_is_searched_has_reports_too() -> None:
    report = b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"".join(
        b"--b\r\nContent-Type: %b\r\n%b\r\nx: y\r\n\r\nz\r\n" % (kind, more)
        for kind, more in (
            (b"text/plain", b""), (b"message/delivery-status", b""), (b"image/png", b""),
            (b"message/disposition-notification", b"Content-Transfer-Encoding: base64\r\n"),
            (b"message/rfc822", b""), (b"text/rfc822-headers", b""),
        )
    )  # fmt: skip
    root = tree(report)
    assert [node.subtype for node in text_parts(root)] == [b"plain", b"plain", b"rfc822-headers"]
    assert [node.subtype for node in searched_parts(root)] == [
        b"plain", b"delivery-status", b"disposition-notification", b"plain", b"rfc822-headers",
    ]  # fmt: skip


def test_table_is_compact_and_stable() -> None:
    assert encode_parts(parse(b"\r\nhi").root) == b'[1,[0,0,"text","plain","7bit","us-ascii",0,0,2]]'


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"[2]", b"[1]", b"[1,[0]]", b'[1,[1,3,"a","b","c",null,0,0,0]]', b"\xff", b"1",
     b'[1,[0,0,"a","b","c",null,0,0,0],[0,0,"a","b","c",null,0,0,0]]', b'[1,[9,0,"a","b","c",null,0,0,0]]',
     b'[1,[0,"x","a","b","c",null,0,0,0]]', b'[1,[0,0,1,"b","c",null,0,0,0]]'],
)  # fmt: skip
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own message is fine too
        decode_parts(data)

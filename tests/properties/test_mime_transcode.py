"""What a message says survives another transfer encoding, in another library's eyes, and nothing else of it changes."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import quopri
from email.message import Message
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mime import node_of, parse
from gateway.mime.encoders import Base64Encoder, QuotedPrintableEncoder
from gateway.mime.transcode import CannotConvert, Octets, converted, plan

TEXT = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=200)
    | st.sampled_from(["", " ", "\t", "=", "=3D", ".", "--b", "From x", "ü" * 90, "a " * 50, "x" * 80, "ends so "]),
    max_size=12,
).map(lambda lines: "\r\n".join(lines).encode())


def changed(message: bytes, *, eight_bit: bool = False) -> bytes:
    """The message as it goes out. CannotConvert."""

    async def run() -> bytes:
        found = parse(message)
        root, body = node_of(found.root), message[len(found.header) :]

        async def read(start: int, stop: int) -> bytes:
            return body[start:stop]

        changes = await plan(found.header, root, len(body), read, eight_bit=eight_bit)
        return b"".join([chunk async for chunk in converted(found.header, root, len(body), read, changes)])

    return asyncio.run(run())


def leaves(octets: bytes) -> list[tuple[str, object, list[tuple[str, str]]]]:
    """(type, decoded content, other fields) of each leaf, as Python's library reads them."""
    message: Message = email.message_from_bytes(octets, policy=email.policy.compat32)
    return [
        (
            part.get_content_type(),
            part.get_payload(decode=True),
            [
                (name, str(value))
                for name, value in part.items()
                if name.lower() not in ("content-transfer-encoding", "mime-version")
            ],
        )
        for part in message.walk()
        if not part.is_multipart()
    ]


@given(TEXT, st.lists(st.integers(0, 400), max_size=8))
def test_quoted_printable_in_any_chunking(text: bytes, cuts: list[int]) -> None:
    encoder = QuotedPrintableEncoder()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    made = b"".join(encoder.feed(text[a:b]) for a, b in pairwise(places)) + encoder.finish()
    assert quopri.decodestring(made) == text
    assert made.isascii()
    lines = made.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or len(line) > 76 or line.endswith((b" ", b"\t")) for line in lines)


@pytest.mark.parametrize("unit", ["ü".encode(), b"a", b" ", b"=", b"word ", b"-", b"--b"])
def test_a_line_without_end_is_not_kept(unit: bytes) -> None:
    encoder, out, told = QuotedPrintableEncoder(), b"", b""
    for _ in range(40):
        chunk = unit * (10_007 // len(unit))
        told += chunk
        out += encoder.feed(chunk)
    assert len(out) > len(told) / 2, "most of it has left"
    out += encoder.finish()
    assert quopri.decodestring(out) == told
    assert all(len(line) <= 76 for line in out.split(b"\r\n"))


@pytest.mark.parametrize("before", range(60, 80))
def test_a_soft_line_break_makes_no_boundary(before: int) -> None:
    """A long line that names the boundary behind its seventieth sign: wrapped there, it would end the part."""
    text = "ü" + "x" * before + "--b--\r\n--bb\r\n" + "-" * 300 + "\r\n"
    message = multipart([("text/plain; charset=utf-8", "8bit", text.encode() + b"z" * 40), ("text/html", "", b"<p>")])
    made = changed(message)
    assert b"quoted-printable" in made
    assert leaves(made) == leaves(message)
    assert all(len(line) <= 76 for line in made.split(b"\r\n"))


@given(st.binary(max_size=400), st.integers(1, 100))
def test_base64_in_any_chunking(octets: bytes, step: int) -> None:
    encoder = Base64Encoder()
    made = b"".join(encoder.feed(octets[at : at + step]) for at in range(0, len(octets), step)) + encoder.finish()
    assert base64.b64decode(made) == octets
    assert all(len(line) <= 76 for line in made.split(b"\r\n"))


@given(st.binary(max_size=30).map(lambda it: it.replace(b"a", b"\r\n").replace(b"b", b"\r")), st.integers(1, 7))
def test_octets_that_data_would_change_are_seen_in_any_chunking(octets: bytes, step: int) -> None:
    found = Octets()
    for at in range(0, len(octets), step):
        found.look(octets[at : at + step])
    without = octets.replace(b"\r\n", b"")
    assert found.unsafe == any(sign in without for sign in (b"\r", b"\n", b"\0"))
    assert found.eight_bit == sum(octet > 127 for octet in octets)


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["text/plain; charset=utf-8", "text/html", "image/png", "application/x; name=y"]),
        st.sampled_from(["", "7bit", "8bit"]),
        TEXT.filter(lambda it: b"--b" not in it),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def multipart(parts: list[tuple[str, str, bytes]], *, top: bytes = b"", kind: str = "mixed") -> bytes:
    out = b"Subject: x\r\nMIME-Version: 1.0\r\n" + top
    out += f"Content-Type: multipart/{kind}; boundary=b\r\n\r\npreamble\r\n".encode()
    for type_, encoding, body in parts:
        label = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
        out += f"--b\r\nContent-Type: {type_}\r\n{label}X-Kept:  as it is \r\n\r\n".encode() + body + b"\r\n"
    return out + b"--b--\r\nepilogue\r\n"


@given(PARTS)
def test_what_it_says_stays_the_same(parts: list[tuple[str, str, bytes]]) -> None:
    message = multipart(parts, top=b"Content-Transfer-Encoding: 8bit\r\n")
    made = changed(message)
    assert made.isascii()
    assert leaves(made) == leaves(message)
    # Every octet outside of what was converted is where it was.
    assert made.count(b"X-Kept:  as it is \r\n") == len(parts)
    assert made.endswith(b"\r\n--b--\r\nepilogue\r\n")
    head = message.partition(b"--b\r\n")[0]
    if not message.isascii():
        head = head.replace(b"8bit", b"7bit")
    assert made.startswith(head)
    for _, _, body in parts:
        assert not body.isascii() or body in made
    assert changed(made) == made
    assert changed(message, eight_bit=True) == message, "nothing to do where eight bits are taken"


@given(TEXT)
def test_a_message_of_one_part(text: bytes) -> None:
    message = b"Subject: x\r\n\r\n" + text
    made = changed(message)
    if text.isascii():
        assert made == message
    else:
        assert made.isascii()
        assert made.startswith(b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: ")
        assert leaves(made) == leaves(message)


BINARY = bytes(range(256)) + b"\r\nlone\rcr\nlf\0"


@pytest.mark.parametrize("eight_bit", [True, False])
def test_binary_parts(eight_bit: bool) -> None:
    message = multipart(
        [("image/png", "binary", BINARY), ("text/plain", "8bit", "für".encode()), ("text/plain", "8bit", b"a\nb")],
        top=b"Content-Transfer-Encoding: binary\r\n",
    )
    made = changed(message, eight_bit=eight_bit)
    image, text, bare = (part[1] for part in leaves(made))
    assert (image, text, bare) == (BINARY, "für".encode(), b"a\nb")
    assert made.isascii() is not eight_bit
    label = b"8bit" if eight_bit else b"7bit"
    assert made.startswith(b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: " + label)
    assert b"\0" not in made
    assert b"\r" not in made.replace(b"\r\n", b"")


def test_parts_within_a_message_within_a_message() -> None:
    inner = "From: a@b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nzoë and others\r\n".encode()
    message = multipart([("message/rfc822", "8bit", inner), ("text/plain", "7bit", b"plain")])
    made = changed(message)
    assert made == (
        message.replace("zoë".encode(), b"zo=C3=AB")
        .replace(b"8bit\r\n\r\nzo", b"quoted-printable\r\n\r\nzo")
        .replace(b"8bit", b"7bit")
    )


SEALED = multipart([("text/plain", "8bit", "zoë".encode()), ("application/pgp-signature", "", b"sig")], kind="signed")


@pytest.mark.parametrize(
    ("message", "enhanced"),
    [
        (SEALED, "5.6.3"),
        (multipart([("application/octet-stream", "8bit", b"\xff")], kind="encrypted"), "5.6.3"),
        (multipart([("message/rfc822", "", SEALED)]), "5.6.3"),
        (multipart([("text/plain", "base64", b"\xff")]), "5.6.3"),
        (multipart([("message/delivery-status", "8bit", b"X: \xff")]), "5.6.3"),
        (multipart([("text/plain", "", b"x")]).replace(b"preamble", b"pre\xff"), "5.6.3"),
        (multipart([("text/plain", "", b"x")]).replace(b"epilogue", b"epi\xff"), "5.6.3"),
        (multipart([("text/plain; name=\"\xfc\"", "", b"x")]), "5.6.7"),
        (multipart([("message/rfc822", "", b"Subject: \xff\r\n\r\nx")]), "5.6.7"),
        (b"Subject: \xfc\r\n\r\nx", "5.6.7"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_in_seven_bits(message: bytes, enhanced: str) -> None:
    with pytest.raises(CannotConvert) as caught:
        changed(message)
    assert caught.value.enhanced == enhanced
    assert changed(message, eight_bit=True) == message


def test_a_signed_part_beside_one_that_is_converted() -> None:
    plain = SEALED.replace("zoë".encode(), b"zoe")
    sealed = plain[plain.index(b"Content-Type") :].partition(b"\r\n\r\n")
    message = multipart([("text/plain", "8bit", "zoë".encode())]).replace(
        b"--b--\r\nepilogue\r\n",
        b"--b\r\n" + sealed[0].replace(b"boundary=b", b"boundary=c") + b"\r\n\r\n"
        + sealed[2].replace(b"--b", b"--c") + b"\r\n--b--\r\nepilogue\r\n",
    )  # fmt: skip
    made = changed(message)
    assert made.partition(b"multipart/signed")[2] == message.partition(b"multipart/signed")[2]
    assert made.isascii()


def test_binary_within_a_signed_part_is_refused() -> None:
    with pytest.raises(CannotConvert):
        changed(multipart([("text/plain", "binary", b"x"), ("x/y", "", b"s")], kind="signed"), eight_bit=True)

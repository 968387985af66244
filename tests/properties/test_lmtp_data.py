"""LMTP's decoder: chunking is invisible, and it agrees with one that has the whole message at once."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.lmtp_data import DeliveryDecoder

TOKENS = st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\0", b"x", b"\r\n.", b"\r\n..", b"\n.", b".\r\n"])
STREAMS = st.lists(TOKENS, max_size=30).map(b"".join)
MOST = 60


def at_once(stream: bytes) -> tuple[bytes | None, bytes]:
    """(the message or None when it is refused, what follows): the end first, then everything else."""
    raw = b"\r\n" + stream
    end = raw.index(b"\r\n.\r\n")
    text, rest = raw[: end + 2], raw[end + 5 :]
    if re.search(rb"[\r\n]\.[\r\n]", text.replace(b"\0", b"")):
        return None, rest
    message = text.replace(b"\r\n.", b"\r\n")[2:]
    message = re.sub(rb"(?<!\r)\n", b"\r\n", message)
    return (None if len(message) > MOST else message), rest


@given(STREAMS, STREAMS, st.lists(st.integers(1, 7), min_size=1, max_size=40))
def test_any_chunking_gives_what_the_whole_gives(stream: bytes, rest: bytes, cuts: list[int]) -> None:
    octets = stream + b"\r\n.\r\n" + rest
    decoder = DeliveryDecoder(MOST)
    found, at = b"", 0
    for cut in cuts * len(octets):
        found += decoder.feed(octets[at : at + cut])
        at += cut
        if decoder.finished:
            break
    message, left = at_once(octets)
    assert decoder.finished
    assert decoder.rest + octets[at:] == left
    assert (decoder.violated or decoder.too_big) == (message is None)
    if message is not None:
        assert found == message
        assert decoder.size == len(message)

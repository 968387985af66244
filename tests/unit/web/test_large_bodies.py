"""Base64 as programs write it."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import InvalidRequest
from gateway.web.large_bodies import LARGE, decoded


def read(text: str) -> bytes:
    return asyncio.run(decoded("content", text))


@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.booleans())
def test_every_form_of_base64(octets: bytes, url_safe: bool, padded: bool, lines: bool) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(octets).decode()
    text = text if padded else text.rstrip("=")
    if lines:
        text = "\r\n".join(text[at : at + 7] for at in range(0, len(text), 7))
    assert read(text) == octets


def test_a_large_one() -> None:
    octets = bytes(range(256)) * 4096
    assert len(octets) > LARGE
    assert read(base64.b64encode(octets).decode()) == octets
    with pytest.raises(InvalidRequest, match="content"):
        read(base64.b64encode(octets).decode() + "?")


@pytest.mark.parametrize("text", ["?", "A", "AAAAA", "ä", "A=A=", "====A", "\0"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="content"):
        read(text)

"""Base64 of SASL exchanges."""

from __future__ import annotations

import pytest

from gateway.wire import sasl


def test_responses():
    assert sasl.initial_response(b"=") == b""
    assert sasl.initial_response(b"AHUAcA==") == b"\x00u\x00p"
    assert sasl.response(b"*") is None
    assert sasl.response(b"") == b""
    assert sasl.response(b"AHUAcA==") == b"\x00u\x00p"
    assert sasl.challenge(b"") == b"+ \r\n"
    assert sasl.challenge(b"Username:") == b"+ VXNlcm5hbWU6\r\n"


@pytest.mark.parametrize("line", [b"=", b"A", b"AHUAcA", b"AH UA", b"AHUAcA==x", b"\xff", b"**"])
def test_what_is_not_base64(line: bytes):
    with pytest.raises(ValueError, match="not base64"):
        sasl.response(line)

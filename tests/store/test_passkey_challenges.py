"""Passkeys on both databases: what one node asked a browser is answered to another, once and in time."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.model.errors import AuthenticationFailed
from gateway.store.db import Database
from gateway.web.passkeys import CHALLENGE_S, Passkeys

from .helpers import NOW

SITE = "https://mail.test"


class Device:
    """A browser with one passkey (WebAuthn 6.1, 6.5.1.1)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (point.x, point.y))
        self.public = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y  # COSE, RFC 9053 7.1

    def answer(self, options: str) -> dict[str, Any]:
        said = {"type": "webauthn.get", "challenge": json.loads(options)["challenge"], "origin": SITE}
        client = json.dumps(said).encode()
        data = hashlib.sha256(b"mail.test").digest() + b"\x05" + bytes(4)
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return {
            "id": "AQ", "rawId": "AQ", "type": "public-key",
            "response": {name: _text(octets) for name, octets in response.items()},
        }  # fmt: skip


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


async def test_another_node_takes_the_answer_once(db: Database) -> None:
    first, second, device = Passkeys(SITE, db), Passkeys(SITE, db), Device()
    answer = device.answer(await first.to_log_in(NOW))
    assert await second.logged_in(answer, device.public, 0, NOW + 1) == 0
    for node in (first, second):
        with pytest.raises(AuthenticationFailed):
            await node.logged_in(answer, device.public, 0, NOW + 2)


async def test_a_challenge_ends_and_is_nobody_elses(db: Database) -> None:
    node, device = Passkeys(SITE, db), Device()
    late = device.answer(await node.to_log_in(NOW))
    with pytest.raises(AuthenticationFailed):
        await node.logged_in(late, device.public, 0, NOW + CHALLENGE_S)
    made_up = device.answer(json.dumps({"challenge": _text(bytes(32))}))
    with pytest.raises(AuthenticationFailed):
        await node.logged_in(made_up, device.public, 0, NOW)

"""SASL (RFC 4422), the client's side, without sockets: for those who log in somewhere else, and for tests.

A mechanism is a generator: it yields the client's responses and is sent the server's challenges. The first `next` gives
the initial response, None when the mechanism has none (LOGIN). `Refused` says that the exchange shall be cancelled: the
server is not what it should be, or the mechanism's error has come, which asks for one more response first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Generator
from typing import Final

from . import scram
from .saslprep import saslprep

Exchange = Generator[bytes | None, bytes, None]

_SERVER_FIRST: Final = re.compile(
    rb"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})(?:,[A-Za-z]=[^,\x00]+)*\Z"
)
_SERVER_FINAL: Final = re.compile(rb"v=([A-Za-z0-9+/=]+)(?:,[A-Za-z]=[^,\x00]+)*\Z")


class Refused(Exception):
    """What the server sent is not to be gone on with: cancel, do not believe an OK."""


def plain(user: str, password: str, identity: str = "") -> Exchange:
    """RFC 4616, without its SASLprep: it would refuse passwords that servers have. ValueError: a separator inside."""
    yield "\0".join((_whole(identity), _whole(user), _whole(password))).encode("utf-8")


def login(user: str, password: str) -> Exchange:
    """The server asks for the two, in this order, whatever its words are."""
    yield None
    yield user.encode("utf-8")
    yield password.encode("utf-8")


def xoauth2(user: str, token: str) -> Exchange:
    """After an error (a JSON text) the empty response lets the server finish with its refusal."""
    yield f"user={_whole(user)}\x01auth=Bearer {_whole(token)}\x01\x01".encode()
    yield b""


def oauthbearer(user: str, token: str, *, host: str = "", port: int = 0) -> Exchange:
    """RFC 7628 3.1, 3.2.3."""
    where = (f"host={host}\x01" if host else "") + (f"port={port}\x01" if port else "")
    name = scram.to_saslname(_whole(user)).decode("utf-8")
    yield f"n,a={name},\x01{where}auth=Bearer {_whole(token)}\x01\x01".encode()
    yield b"\x01"


def scram_sha_256(
    user: str,
    password: str,
    nonce: bytes,
    *,
    binding: tuple[str, bytes] | None = None,
    can_bind: bool = False,
    identity: str = "",
) -> Exchange:
    """RFC 5802 with SHA-256. `nonce`: fresh random printable octets without a comma.

    `binding` (type, data) is used with the -PLUS name. Without it, `can_bind` says that we could have, but the server
    offered no -PLUS: it will refuse if somebody took that out of its list. Refused, also for a server that cannot
    prove that it knows the password; ValueError for what SASLprep prohibits.
    """
    flag = b"p=" + binding[0].encode("ascii") if binding else b"y" if can_bind else b"n"
    header = flag + b"," + (b"a=" + scram.to_saslname(identity) if identity else b"") + b","
    bare = b"n=%b,r=%b" % (scram.to_saslname(saslprep(user)), nonce)
    sent = yield header + bare
    found = _SERVER_FIRST.match(sent)
    if found is None or not found[1].startswith(nonce) or len(found[1]) <= len(nonce):
        raise Refused("The server's first message is not SCRAM's")
    parameters = scram.Parameters(_decoded(found[2]), int(found[3]))
    if not parameters.salt or parameters.iterations > scram.MAX_ITERATIONS:
        raise Refused("The server asks for too much work")
    secret = scram.salted(password, parameters)
    client_key = hmac.digest(secret, b"Client Key", "sha256")
    unproven = b"c=%b,r=%b" % (b64encode(header + (binding[1] if binding else b"")), found[1])
    message = b",".join((bare, sent, unproven))
    proof = scram.xor(client_key, hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256"))
    final = yield unproven + b",p=" + b64encode(proof)
    signed = _SERVER_FINAL.match(final)
    expected = hmac.digest(hmac.digest(secret, b"Server Key", "sha256"), message, "sha256")
    if signed is None or not hmac.compare_digest(_decoded(signed[1]), expected):
        raise Refused("The server does not know the password")
    yield b""


def _decoded(text: bytes) -> bytes:
    try:
        return scram.decoded(text)
    except scram.Malformed:
        raise Refused("The server's message is not base64") from None


def _whole(text: str) -> str:
    if "\0" in text or "\x01" in text:
        raise ValueError("a separator inside")
    return text

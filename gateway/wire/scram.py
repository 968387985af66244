"""SCRAM-SHA-256 (RFC 5802, RFC 7677): keys, messages and the server's half. No sockets, no randomness of its own.

What is stored of a password is a `Verifier`: it proves who logs in and lets nobody log in.

The server's first message goes out before anybody has proven anything, and says a salt. All verifiers of a store
share one salt and one count of iterations, so that message is the same for every name, known or not, and the
client's proof can be held against each verifier that might be meant. A salt keeps guesses at people's passwords from
being shared between them; an API key of 166 random bits cannot be guessed with or without.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

from .saslprep import saslprep

NAME: Final = "SCRAM-SHA-256"
PLUS: Final = "SCRAM-SHA-256-PLUS"
ITERATIONS: Final = 4096  # RFC 7677 4 asks for so many; more would protect what can be guessed
MAX_ITERATIONS: Final = 1_000_000  # a client's patience with a hostile server (RFC 5802 9): about 0.3 s
_DIGEST: Final = "sha256"
_SIZE: Final = 32

_GS2: Final = re.compile(rb"(?:(n)|(y)|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,")
_FIRST: Final = re.compile(rb"n=([^,\x00]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\x00]+)*\Z")
_FINAL: Final = re.compile(
    rb"(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\x00]+)*),p=([A-Za-z0-9+/=]+)\Z"
)
_STORED: Final = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([^$:]+)\$([^$:]+):([^$:]+)")
_BAD_ESCAPE: Final = re.compile(r"=(?!2C|3D)")


class Malformed(ValueError):
    """A message that is not in the grammar. Its text shows nothing of what the peer sent."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the client mixes with its password before it proves that it has it."""

    salt: bytes
    iterations: int

    @property
    def text(self) -> str:
        """How the text of a verifier with these parameters begins."""
        return f"{NAME}${self.iterations}:{b64encode(self.salt).decode('ascii')}$"


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password (RFC 5802 3)."""

    parameters: Parameters
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The form of RFC 5803 3: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`."""
        stored, server = (b64encode(octets).decode("ascii") for octets in (self.stored_key, self.server_key))
        return f"{self.parameters.text}{stored}:{server}"

    @classmethod
    def of(cls, text: str) -> Verifier:
        """Read `text` back. Malformed."""
        found = _STORED.fullmatch(text)
        if found is None:
            raise Malformed("no verifier")
        salt, stored, server = (decoded(part.encode()) for part in found.group(2, 3, 4))
        return cls(Parameters(salt, int(found[1])), stored, server)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the client has proven, to be held against verifiers."""

    message: bytes = field(repr=False)
    """AuthMessage."""
    proof: bytes = field(repr=False)
    """ClientProof."""

    def fits(self, stored_key: bytes) -> bool:
        """Whether the client has the password of this StoredKey. The time tells nothing of it."""
        client_key = xor(self.proof, hmac.digest(stored_key, self.message, _DIGEST))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)

    def signature(self, verifier: Verifier) -> bytes | None:
        """ServerSignature when the client has this verifier's password, else None."""
        if self.fits(verifier.stored_key):
            return hmac.digest(verifier.server_key, self.message, _DIGEST)
        return None


def salted(password: str, parameters: Parameters) -> bytes:
    """SaltedPassword. About 1 ms for 4096 iterations; the interpreter is free meanwhile. ValueError: SASLprep."""
    octets = saslprep(password, stored=True).encode("utf-8")
    return hashlib.pbkdf2_hmac(_DIGEST, octets, parameters.salt, parameters.iterations)


def derive(password: str, parameters: Parameters) -> Verifier:
    """The verifier of a password. Not on the loop: see `salted`."""
    secret = salted(password, parameters)
    client_key = hmac.digest(secret, b"Client Key", _DIGEST)
    return Verifier(parameters, hashlib.sha256(client_key).digest(), hmac.digest(secret, b"Server Key", _DIGEST))


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """The client's first message in parts (RFC 5802 7)."""

    gs2_header: bytes
    flag: str
    """`n`, `y` or `p`."""
    binding: str | None
    """The channel binding type that the client uses, with flag `p`."""
    identity: str | None
    """Authorisation identity."""
    user: str
    nonce: bytes
    bare: bytes

    @classmethod
    def parse(cls, message: bytes) -> ClientFirst:
        """Malformed, also for a mandatory extension (`m=`), which we have none of."""
        header = _GS2.match(message)
        if header is None:
            raise Malformed("no GS2 header")
        bare = message[header.end() :]
        found = _FIRST.match(bare)
        if found is None:
            raise Malformed("no first message")
        flag = "n" if header[1] else "y" if header[2] else "p"
        binding = header[3].decode("ascii") if header[3] else None
        identity = saslname(header[4]) if header[4] else None
        return cls(header[0], flag, binding, identity, saslname(found[1]), found[2], bare)


def server_first(client: ClientFirst, nonce: bytes, parameters: Parameters) -> bytes:
    """`nonce` is the server's own part, printable without a comma."""
    return b"r=%b%b,s=%b,i=%d" % (client.nonce, nonce, b64encode(parameters.salt), parameters.iterations)


def check_final(message: bytes, client: ClientFirst, sent: bytes, nonce: bytes, bound: bytes) -> Proof | None:
    """The client's proof; None when nonce or channel binding are not those of this exchange. Malformed.

    `sent` is our first message, `nonce` our part of it, `bound` the channel binding data (b"" without).
    """
    found = _FINAL.match(message)
    if found is None:
        raise Malformed("no final message")
    proof = decoded(found[4])
    if len(proof) != _SIZE:
        raise Malformed("no proof")
    same = hmac.compare_digest(found[3], client.nonce + nonce)
    same &= hmac.compare_digest(decoded(found[2]), client.gs2_header + bound)
    return Proof(b",".join((client.bare, sent, found[1])), proof) if same else None


def server_final(signature: bytes) -> bytes:
    return b"v=" + b64encode(signature)


def saslname(octets: bytes) -> str:
    """RFC 5802 5.1 `n`: `=2C` and `=3D` are comma and equals sign, prepared by SASLprep. Malformed."""
    try:
        text = octets.decode("utf-8")
        if _BAD_ESCAPE.search(text):
            raise Malformed("a bad name")
        return saslprep(text.replace("=2C", ",").replace("=3D", "="))
    except ValueError:
        raise Malformed("a bad name") from None


def to_saslname(name: str) -> bytes:
    return name.replace("=", "=3D").replace(",", "=2C").encode("utf-8")


def decoded(text: bytes) -> bytes:
    """Base64 in its canonical form only (RFC 5802 2.1). Malformed."""
    try:
        octets = b64decode(text, validate=True)
    except binascii.Error:
        raise Malformed("not base64") from None
    if b64encode(octets) != text:
        raise Malformed("not base64")
    return octets


def xor(left: bytes, right: bytes) -> bytes:
    """Of two strings of one digest's size."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(_SIZE, "big")

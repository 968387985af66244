"""SASL (RFC 4422), the server's side: each mechanism as a generator that says what it needs next. No sockets.

A mechanism yields `Challenge` (and is sent the client's response), `Check` (whether this user has this secret) or
`Prove` (which verifier a SCRAM proof fits); it returns when the exchange is over. `gateway.auth.exchange` runs one for
IMAP and SMTP alike: what differs between them is how a challenge is written down. `Malformed` comes from a response
that is not in the mechanism's grammar.

Also here: base64 in IMAP's AUTHENTICATE, both ways (RFC 3501 6.2.2, RFC 4959).
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from . import scram
from .scram import Malformed

PLAIN: Final = "PLAIN"
LOGIN: Final = "LOGIN"
XOAUTH2: Final = "XOAUTH2"
OAUTHBEARER: Final = "OAUTHBEARER"

_XOAUTH2: Final = re.compile(rb"user=([^\x01]*)\x01auth=([^\x01]*)\x01\x01\Z")
# RFC 7628 3.1; the GS2 flag `p` needs a channel binding, which a bearer token has none of.
_OAUTHBEARER: Final = re.compile(rb"[ny],(?:a=([^,\x01]*))?,\x01((?:[A-Za-z]+=[^\x01]*\x01)*)\x01\Z")
_BEARER: Final = re.compile(rb"bearer +([\x21-\x7e]+) *\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send `octets`; the client's response is sent back. A client that cancels ends the exchange."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Check:
    """Does `user` have `secret`? True or False is sent back."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prove:
    """Which verifier of `user` does the proof fit? Its ServerSignature is sent back, None for none.

    `proof` None: the exchange is broken already, but nobody shall learn that sooner than a wrong proof.
    """

    user: str
    proof: scram.Proof | None


Step = Challenge | Check | Prove
Exchange = Generator[Step, bytes | bool | None, None]

NOBODY: Final = Check("", "")
"""What no key matches, and what counts as a failed login as any wrong key does."""


@dataclass(frozen=True, slots=True)
class Scram:
    """What the SCRAM mechanisms need of their connection and store.

    `bound` gives the channel binding data of a type (RFC 5056), None for a type that this connection does not have;
    `binds`: it has one, and the -PLUS name was offered. `nonce` is our part, fresh for each exchange.
    """

    parameters: scram.Parameters
    nonce: bytes
    binds: bool
    bound: Callable[[str], bytes | None]


def names(*, binds: bool) -> tuple[str, ...]:
    """What is offered on a connection under TLS, the best first. `binds`: the TLS is ours, channels can be bound."""
    return (*((scram.PLUS,) if binds else ()), scram.NAME, OAUTHBEARER, XOAUTH2, PLAIN, LOGIN)


def start(mechanism: str, initial: bytes | None) -> Exchange | None:
    """The exchange of a mechanism other than SCRAM by its name in capitals; None for an unknown one.

    `initial` is the client's initial response, None when it sent none.
    """
    found = _MECHANISMS.get(mechanism)
    return found(initial) if found is not None else None


def _ask(octets: bytes) -> Generator[Step, bytes | bool | None, bytes]:
    response = yield Challenge(octets)
    assert isinstance(response, bytes), "a challenge is answered by octets"
    return response


def _first(initial: bytes | None) -> Generator[Step, bytes | bool | None, bytes]:
    """The first message of a mechanism in which the client begins."""
    return initial if initial is not None else (yield from _ask(b""))


def plain(initial: bytes | None) -> Exchange:
    """RFC 4616: authzid NUL authcid NUL password. Nobody acts for another inbox."""
    parts = (yield from _first(initial)).split(b"\0")
    if len(parts) != 3:
        raise Malformed("not authzid, authcid, password")
    identity, user, secret = parts
    yield NOBODY if identity and identity.lower() != user.lower() else _check(user, secret)


def login(initial: bytes | None) -> Exchange:
    """The old draft that Outlook's cloud speaks. Clients compare the very letters of the challenges."""
    user = initial if initial else (yield from _ask(b"Username:"))
    secret = yield from _ask(b"Password:")
    yield _check(user, secret)


def xoauth2(initial: bytes | None) -> Exchange:
    """Google's XOAUTH2: the API key is the access token."""
    found = _XOAUTH2.match((yield from _first(initial)))
    if found is None:
        raise Malformed("not user and auth")
    if not (yield _bearer(found[1], found[2])):
        yield from _ask(_error(status="401", schemes="bearer"))


def oauthbearer(initial: bytes | None) -> Exchange:
    """RFC 7628: the API key is the bearer token. After the error the client sends one response more, whatever it is.

    `host` and `port` are not looked at: behind a forwarded port, or an alias, they are no values that we know.
    """
    found = _OAUTHBEARER.match((yield from _first(initial)))
    if found is None:
        raise Malformed("not a GS2 header and pairs")
    pairs = dict(pair.split(b"=", 1) for pair in found[2].split(b"\x01") if pair)
    user = scram.saslname(found[1]).encode() if found[1] else b""
    if b"auth" not in pairs:
        raise Malformed("no auth")
    if not (yield _bearer(user, pairs[b"auth"])):
        yield from _ask(_error(status="invalid_token", schemes="bearer"))


def scram_sha_256(initial: bytes | None, with_: Scram, *, plus: bool) -> Exchange:
    """RFC 5802. The server's first message tells nothing about the name: see `gateway.wire.scram`."""
    client = scram.ClientFirst.parse((yield from _first(initial)))
    bound: bytes | None = b""
    if plus:
        bound = with_.bound(client.binding) if client.binding is not None else None
    elif client.flag == "p" or (client.flag == "y" and with_.binds):
        # RFC 5802 6: a client that can bind and believes that we cannot has been lied to about our mechanisms.
        bound = None
    if client.identity is not None and client.identity.lower() != client.user.lower():
        bound = None
    sent = scram.server_first(client, with_.nonce, with_.parameters)
    final = yield from _ask(sent)
    proof = scram.check_final(final, client, sent, with_.nonce, bound or b"")
    signature = yield Prove(client.user, proof if bound is not None else None)
    if isinstance(signature, bytes):
        yield from _ask(scram.server_final(signature))


_MECHANISMS: Final[dict[str, Callable[[bytes | None], Exchange]]] = {
    PLAIN: plain,
    LOGIN: login,
    XOAUTH2: xoauth2,
    OAUTHBEARER: oauthbearer,
}


def _check(user: bytes, secret: bytes) -> Check:
    try:
        return Check(user.decode("utf-8"), secret.decode("utf-8"))
    except UnicodeDecodeError:
        return NOBODY


def _bearer(user: bytes, authorization: bytes) -> Check:
    """The value of an HTTP Authorization header. Empty, a client only asks what is wanted (RFC 7628 4.3)."""
    found = _BEARER.match(authorization)
    return NOBODY if found is None else _check(user, found[1])


def _error(**values: str) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode("ascii")


# IMAP's base64.


def initial_response(text: bytes) -> bytes:
    """`=` is an empty response (RFC 4959 3). ValueError when `text` is not base64."""
    return b"" if text == b"=" else _decode(text)


def response(line: bytes) -> bytes | None:
    """A raw line after `+ `: its octets, None for `*` (the client cancels). ValueError when it is not base64."""
    return None if line == b"*" else _decode(line)


def challenge(octets: bytes) -> bytes:
    """`+ ` and base64, with the line end; the space stays when there is nothing to say."""
    return b"+ " + binascii.b2a_base64(octets, newline=False) + b"\r\n"


def _decode(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64") from None

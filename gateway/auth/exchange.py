"""One SASL exchange from its first message to a principal, for IMAP and submission alike."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.model.errors import AuthenticationFailed
from gateway.model.permissions import Principal
from gateway.wire import sasl, scram

Ask = Callable[[bytes], Awaitable[bytes | None]]
"""Send a challenge; the client's response, None when it cancels."""

_NONCE: Final = 18  # octets, 24 characters


class Channel(Protocol):
    """What a connection's TLS gives to bind a login to (RFC 5056)."""

    @property
    def can_bind(self) -> bool:
        """The TLS is ours, so -PLUS is offered."""

    def channel_binding(self, kind: str) -> bytes | None:
        """The data of this type, None when there are none."""


class Authenticator(Protocol):
    """`auth.authenticator.Authenticator`, as far as logins go."""

    async def authenticate(self, user: str, secret: str, peer: str, /) -> Principal: ...

    async def scram_parameters(self) -> scram.Parameters: ...

    async def prove(self, user: str, proof: scram.Proof | None, peer: str, /) -> tuple[Principal, bytes]: ...


class UnknownMechanism(Exception):
    """No such mechanism is offered here."""


async def log_in(
    mechanism: str, initial: bytes | None, ask: Ask, authenticator: Authenticator, peer: str, channel: Channel
) -> Principal | None:
    """Who logs in by `mechanism` (in capitals) from the IP address `peer`; None when the client cancels.

    UnknownMechanism, ValueError (what the client sent is not the mechanism's), AuthenticationFailed, Throttled,
    Unavailable, and what `ask` raises. A client that cancels after its failure was told has failed all the same
    (RFC 7628 4.3).
    """
    exchange = await _exchange(mechanism, initial, authenticator, channel)
    principal: Principal | None = None
    failure: AuthenticationFailed | None = None
    answer: bytes | bool | None
    try:
        step = next(exchange)
        while True:
            if isinstance(step, sasl.Challenge):
                answer = await ask(step.octets)
                if answer is None:
                    principal = None
                    break
            else:
                try:
                    if isinstance(step, sasl.Check):
                        principal = await authenticator.authenticate(step.user, step.secret, peer)
                        answer = True
                    else:
                        principal, answer = await authenticator.prove(step.user, step.proof, peer)
                except AuthenticationFailed as error:
                    failure = error
                    answer = None if isinstance(step, sasl.Prove) else False
            step = exchange.send(answer)
    except StopIteration:
        pass
    if failure is not None:
        raise failure
    return principal


async def _exchange(
    mechanism: str, initial: bytes | None, authenticator: Authenticator, channel: Channel
) -> sasl.Exchange:
    plus = mechanism == scram.PLUS
    if mechanism == scram.NAME or (plus and channel.can_bind):
        nonce = secrets.token_urlsafe(_NONCE).encode("ascii")
        parameters = await authenticator.scram_parameters()
        with_ = sasl.Scram(parameters, nonce, channel.can_bind, channel.channel_binding)
        return sasl.scram_sha_256(initial, with_, plus=plus)
    exchange = sasl.start(mechanism, initial)
    if exchange is None:
        raise UnknownMechanism
    return exchange

"""From options to the servers that they mean, as the clients of both sides take them."""

from __future__ import annotations

from gateway.outbound.endpoint import Endpoint
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.proxy import Proxy
from gateway.outbound.tls import Security, TlsPolicy
from gateway.upstream.endpoint import ImapEndpoint, ImapLimits

from .options import ImapLeg, Leg, SmtpLeg


def imap_endpoint(leg: ImapLeg, secret: str, *, token: bool, max_message: int) -> ImapEndpoint:
    """Where mail is read. `secret`: a password, or with `token` an access token. `max_message` octets."""
    return ImapEndpoint(
        host=leg.host,
        port=leg.port,
        login=_login(leg, secret, token=token),
        tls=_tls(leg),
        allow_private=leg.allow_private,
        limits=ImapLimits(message=max_message),
        proxy=_proxy(leg),
    )


def smtp_endpoint(leg: SmtpLeg, secret: str, *, token: bool, hostname: str) -> Endpoint:
    """Where mail is sent. Without any secret nobody logs in: there are servers that know us by our address."""
    return Endpoint(
        host=leg.host,
        port=leg.port,
        tls=_tls(leg),
        login=_login(leg, secret, token=token) if secret else None,
        helo=leg.local_name or hostname,
        allow_private=leg.allow_private,
        proxy=_proxy(leg),
    )


def _login(leg: Leg, secret: str, *, token: bool) -> RelayLogin:
    first, *others = [Mechanism(word) for word in leg.mechanism] or [Mechanism.AUTO]
    return RelayLogin(leg.user, secret, first, token, tuple(others))


def _tls(leg: Leg) -> TlsPolicy:
    return TlsPolicy(
        security=Security(leg.security),
        min_version=leg.tls_min,
        max_version=leg.tls_max,
        min_dh_bits=leg.min_dh_bits,
        ca_pem=leg.ca or None,
        pins=leg.pins,
        pin_only=leg.pin_only,
    )


def _proxy(leg: Leg) -> Proxy | None:
    if not leg.proxy:
        return None
    return Proxy.of_url(leg.proxy, leg.proxy_secret.reveal(), allow_private=leg.allow_private)

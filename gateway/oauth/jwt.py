"""JSON Web Tokens: the assertions that we sign with RS256, and what an id_token says.

RFC 7515, 7519, 7523. An id_token comes from the token endpoint itself over TLS that was verified, which stands for its
signature (OpenID Connect Core 3.1.3.7, 6); issuer, audience, nonce and expiry are checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.model.errors import InvalidRequest

from .errors import ReauthRequired
from .providers import Provider

ASSERTION_LASTS: Final = 600
SERVICE_ACCOUNT_LASTS: Final = 3600  # Google refuses a longer one
SKEW: Final = 300  # seconds that clocks may differ
_BACKDATE: Final = 30


def private_key(pem: str) -> rsa.RSAPrivateKey:
    """InvalidRequest for anything but an RSA key of 2048 bits at least, without a passphrase."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidRequest("The private key cannot be read: PEM without a passphrase is needed") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise InvalidRequest("The private key must be RSA with 2048 bits at least")
    return key


def thumbprint(certificate_pem: str) -> str:
    """x5t#S256 (RFC 7515 4.1.8) of the first certificate. InvalidRequest when there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError:
        raise InvalidRequest("The certificate cannot be read as PEM") from None
    return _base64(certificate.fingerprint(hashes.SHA256()))


def signed(pem: str, header: Mapping[str, str], claims: Mapping[str, Any]) -> str:
    """An RS256 token."""
    head = {"alg": "RS256", "typ": "JWT", **header}
    octets = b".".join(_base64(json.dumps(part, separators=(",", ":")).encode()).encode() for part in (head, claims))
    signature = private_key(pem).sign(octets, padding.PKCS1v15(), hashes.SHA256())
    return f"{octets.decode()}.{_base64(signature)}"


def client_assertion(pem: str, key_name: str, client_id: str, token_url: str, now: float) -> str:
    """Who we are, by a certificate (RFC 7523 2.2)."""
    moment = int(now)
    return signed(
        pem,
        {"x5t#S256": key_name},
        {
            "aud": token_url, "iss": client_id, "sub": client_id, "jti": secrets.token_urlsafe(16),
            "nbf": moment - _BACKDATE, "iat": moment - _BACKDATE, "exp": moment + ASSERTION_LASTS,
        },
    )  # fmt: skip


def service_account_assertion(
    pem: str, key_name: str, issuer: str, user: str, scope: str, token_url: str, now: float
) -> str:
    """A service account that acts as `user` (RFC 7523 2.1; Google's domain-wide delegation)."""
    issued = int(now) - _BACKDATE
    return signed(
        pem,
        {"kid": key_name} if key_name else {},
        {"iss": issuer, "sub": user, "scope": scope, "aud": token_url, "iat": issued,
         "exp": issued + SERVICE_ACCOUNT_LASTS},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has logged in: addresses in small letters, all that the provider calls them by."""

    addresses: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.addresses[0] if self.addresses else ""


def identity(provider: Provider, token: str | None, client_id: str, nonce: str, now: float) -> Identity | None:
    """From an id_token; None where the provider gives none. ReauthRequired for one that is not for us or not now."""
    if not provider.identifies:
        return None
    if token is None:
        raise ReauthRequired(f"{provider.title} did not say who has logged in: log in again")
    claims = _claims(token)
    if claims is None:
        raise _refused(provider, "cannot be read")
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise _refused(provider, "is for another application")
    if not is_issuer(provider, str(claims.get("iss", ""))):
        raise _refused(provider, "is of somebody else")
    if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _refused(provider, "belongs to another login")
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float) or expires + SKEW < now:
        raise _refused(provider, "has expired; check this machine's clock")
    if claims.get("email_verified") is False:
        claims.pop("email", None)
    found = [claims.get(name) for name in ("email", "preferred_username", "upn")]
    return Identity(tuple(dict.fromkeys(text.lower() for text in found if _is_address(text))))


def is_issuer(provider: Provider, name: str) -> bool:
    """Whether a token, or an answer (RFC 9207), is this provider's own."""
    return re.fullmatch(provider.issuer, name) is not None


def _is_address(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and "@" in value and len(value) <= 320 and value.isprintable()


def _claims(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return None
    return claims if isinstance(claims, dict) else None


def _refused(provider: Provider, why: str) -> ReauthRequired:
    return ReauthRequired(f"{provider.title}'s word on who has logged in {why}: log in again", code="id_token")


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def challenge(verifier: str) -> str:
    """PKCE's S256 (RFC 7636 4.2)."""
    return _base64(hashlib.sha256(verifier.encode()).digest())

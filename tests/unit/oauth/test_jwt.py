"""Assertions that others can verify, and what an id_token must say."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from gateway.model.errors import InvalidRequest
from gateway.oauth import jwt
from gateway.oauth.errors import ReauthRequired
from gateway.oauth.providers import FASTMAIL, GOOGLE, microsoft
from tests.support.oauth.provider import id_token, rsa_key

NOW = 1_800_000_000.0


def read(token: str, public: rsa.RSAPublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    head, body, signature = token.split(".")
    octets = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, body, signature)]
    public.verify(octets[2], f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(octets[0]), json.loads(octets[1])


def test_a_certificates_assertion() -> None:
    pem, public = rsa_key()
    one = jwt.client_assertion(pem, "thumb", "client", "https://token.test/", NOW)
    head, claims = read(one, public)
    assert head == {"alg": "RS256", "typ": "JWT", "x5t#S256": "thumb"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("client", "client", "https://token.test/")
    assert claims["nbf"] <= NOW < claims["exp"] <= NOW + 600
    other = read(jwt.client_assertion(pem, "thumb", "client", "https://token.test/", NOW), public)[1]
    assert claims["jti"] != other["jti"], "each is used once"


def test_a_service_accounts_assertion() -> None:
    pem, public = rsa_key()
    token = jwt.service_account_assertion(pem, "k", "sa@p.test", "user@d.test", "scope", "https://token.test/", NOW)
    head, claims = read(token, public)
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "k"}
    assert claims == {
        "iss": "sa@p.test", "sub": "user@d.test", "scope": "scope", "aud": "https://token.test/",
        "iat": NOW - 30, "exp": NOW - 30 + 3600,
    }  # fmt: skip


def test_which_keys_can_sign() -> None:
    none = serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form, none).decode()
    small = rsa.generate_private_key(65537, 1024).private_bytes(*form, none).decode()
    locked = rsa.generate_private_key(65537, 2048)
    closed = locked.private_bytes(*form, serialization.BestAvailableEncryption(b"pass")).decode()
    for bad in ("", "hunter2", curve, small, closed):
        with pytest.raises(InvalidRequest) as caught:
            jwt.private_key(bad)
        assert "hunter2" not in str(caught.value)


def test_a_certificates_thumbprint() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    der = made.public_bytes(serialization.Encoding.DER)
    wanted = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    assert jwt.thumbprint(made.public_bytes(serialization.Encoding.PEM).decode()) == wanted
    with pytest.raises(InvalidRequest):
        jwt.thumbprint("no certificate")


def test_pkce_of_the_rfc() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
    assert jwt.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


GOOD = {"iss": "https://accounts.google.com", "aud": "client", "exp": NOW + 60, "nonce": "n", "email": "A@x.test"}


def test_who_an_id_token_names() -> None:
    named = {**GOOD, "upn": "b@x.test", "preferred_username": "+1 555"}
    found = jwt.identity(GOOGLE, id_token(named), "client", "n", NOW)
    assert found is not None
    assert found.addresses == ("a@x.test", "b@x.test")
    tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
    claims = {**GOOD, "iss": f"https://login.microsoftonline.com/{tenant}/v2.0", "preferred_username": "c@x.test"}
    found = jwt.identity(microsoft(), id_token(claims), "client", "n", NOW)
    assert found is not None
    assert found.addresses == ("a@x.test", "c@x.test")
    unverified = jwt.identity(GOOGLE, id_token({**GOOD, "email_verified": False}), "client", "n", NOW)
    assert unverified is not None
    assert unverified.addresses == ()
    assert jwt.identity(FASTMAIL, None, "client", "n", NOW) is None, "it says nobody's name"
    assert jwt.identity(GOOGLE, id_token({**GOOD, "aud": ["other", "client"], "nonce": None}), "client", "", NOW)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "other"}, "another application"),
        ({"aud": None}, "another application"),
        ({"iss": "https://accounts.google.com.evil.test"}, "somebody else"),
        ({"iss": "https://login.microsoftonline.com/x/v2.0"}, "somebody else"),
        ({"nonce": "other"}, "another login"),
        ({"nonce": None}, "another login"),
        ({"exp": NOW - 301}, "expired"),
        ({"exp": "soon"}, "expired"),
        ({"exp": True}, "expired"),
    ],
)
def test_an_id_token_that_is_not_for_us(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ReauthRequired, match=words):
        jwt.identity(GOOGLE, id_token({**GOOD, **claims}), "client", "n", NOW)


@pytest.mark.parametrize("token", [None, "", "a.b", "a.!.c", "a.e30.c.d", "a.W10.c", f"a.{'W' * 4000}.c"])
def test_what_is_no_id_token(token: str | None) -> None:
    with pytest.raises(ReauthRequired):
        jwt.identity(GOOGLE, token, "client", "n", NOW)

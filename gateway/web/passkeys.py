"""Passkeys (WebAuthn level 2): options for the browser, and what it answers checked by a library made for it.

What a browser is asked stands in the store until it is answered: the answer may reach another node.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.model.errors import AuthenticationFailed, InvalidRequest
from gateway.store import short_notes
from gateway.store.db import Database

CHALLENGE_S: Final = 300
_KIND: Final = "passkey"


@dataclass(frozen=True, slots=True)
class Made:
    """A credential that a browser has made."""

    credential: bytes
    public_key: bytes
    sign_count: int


class Passkeys:
    """For the site at `base_url`: a passkey is bound to its host name by the browser."""

    def __init__(self, base_url: str, db: Database) -> None:
        self._origin = base_url
        self._host = urlsplit(base_url).hostname or ""
        self._db = db

    async def to_register(self, key_name: str, known: list[bytes], now: float) -> str:
        """Options for `navigator.credentials.create`, JSON."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        options = generate_registration_options(
            rp_id=self._host, rp_name="Mail gateway", user_name=key_name, user_id=secrets.token_bytes(32),
            challenge=await self._draw(now),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,  # it must be found without a name
                user_verification=UserVerificationRequirement.REQUIRED,  # it stands for a key
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return options_to_json(options)

    async def to_log_in(self, now: float) -> str:
        """Options for `navigator.credentials.get`, JSON."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers.structs import UserVerificationRequirement

        return options_to_json(generate_authentication_options(
            rp_id=self._host, challenge=await self._draw(now),
            user_verification=UserVerificationRequirement.REQUIRED,
        ))  # fmt: skip

    async def registered(self, answer: Any, now: float) -> Made:
        """InvalidRequest."""
        from webauthn import verify_registration_response
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            found = verify_registration_response(
                credential=answer, expected_challenge=await self._asked(answer, now), expected_rp_id=self._host,
                expected_origin=self._origin, require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise InvalidRequest("The browser's answer is no passkey for this site") from None
        return Made(found.credential_id, found.credential_public_key, found.sign_count)

    async def logged_in(self, answer: Any, public_key: bytes, sign_count: int, now: float) -> int:
        """The device's count now. AuthenticationFailed."""
        from webauthn import verify_authentication_response
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            found = verify_authentication_response(
                credential=answer, expected_challenge=await self._asked(answer, now), expected_rp_id=self._host,
                expected_origin=self._origin, credential_public_key=public_key,
                credential_current_sign_count=sign_count, require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise AuthenticationFailed("The passkey was not accepted") from None
        return found.new_sign_count

    def credential_of(self, answer: Any) -> bytes:
        """Which credential answers. InvalidRequest."""
        from webauthn.helpers import base64url_to_bytes

        try:
            return base64url_to_bytes(str(answer["rawId"]))
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest("The browser's answer is no passkey") from None

    async def _draw(self, now: float) -> bytes:
        challenge = secrets.token_bytes(32)
        at = int(now)
        await self._db.write(
            lambda tx: short_notes.put(tx, _KIND, challenge, "", expires=at + CHALLENGE_S, now=at)
        )
        return challenge

    async def _asked(self, answer: Any, now: float) -> bytes:
        """The challenge that is answered, if it is one of ours that nobody has answered; else one that fits nothing."""
        from webauthn.helpers import base64url_to_bytes

        said = json.loads(base64url_to_bytes(str(answer["response"]["clientDataJSON"])))
        challenge = base64url_to_bytes(str(said["challenge"]))
        taken = await self._db.write(lambda tx: short_notes.take(tx, _KIND, challenge, now))
        return secrets.token_bytes(32) if taken is None else challenge

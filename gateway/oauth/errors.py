"""Why there is no access token, as classes that retries and advice go by. No text of theirs holds a token."""

from __future__ import annotations

from gateway.model.errors import GatewayError
from gateway.outbound.failure import Failure


class OAuthError(GatewayError):
    """Base. `code`: the provider's own word (RFC 6749 5.2, AADSTS…), "" where it said none."""

    failure = Failure.AUTH_OAUTH

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ReauthRequired(OAuthError):
    """The grant is over or was never given: its owner must log in again. Nothing is deleted."""


class AppMisconfigured(OAuthError):
    """The provider does not accept the client itself: all its grants wait until an administrator has mended it."""


class ScopesMissing(ReauthRequired):
    """Consent was given to less than is needed."""

    def __init__(self, message: str, missing: tuple[str, ...]) -> None:
        super().__init__(message, code="scopes_missing")
        self.missing = missing


class WrongIdentity(ReauthRequired):
    """Somebody else logged in than the account's owner, or one who may open its mailbox."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="wrong_identity")


class LoginRefused(OAuthError):
    """A login that cannot go on: denied, expired, forged, or not offered by the provider."""


class Transient(OAuthError):
    """The same request may succeed later; no account is to blame. `failure` says what it was."""

    def __init__(
        self, failure: Failure, message: str, *, code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.failure = failure
        self.retry_after = retry_after
        """Seconds until it makes sense to ask again, where that is known."""


class Pending(OAuthError):
    """A device login that its owner has not finished yet. `slower`: ask less often (RFC 8628 3.5)."""

    def __init__(self, *, slower: bool = False) -> None:
        super().__init__("The login is not finished yet", code="slow_down" if slower else "authorization_pending")
        self.slower = slower

"""Why a submission is refused, beside the errors that `model` has."""

from __future__ import annotations

from gateway.model.errors import GatewayError


class UnknownRecipient(GatewayError):
    """An address in a local domain that no inbox has."""


class NoRoute(GatewayError):
    """A recipient elsewhere, and nothing is configured that could carry mail there."""


class BadMessage(GatewayError):
    """A message that may not be sent as it is: no From, two From fields, a header without end."""


class Blocked(GatewayError):
    """A list of the inbox, its pod or everybody blocks it, or allows others only."""


class MailLoop(GatewayError):
    """The message was here before, or has passed through more servers than any does."""


class UrlRefused(GatewayError):
    """A URL that was not signed for its submission by this user, or no longer counts (RFC 4468 6)."""


class UrlElsewhere(UrlRefused):
    """A URL of another server, which does not know this one (RFC 4468 5)."""


class UrlUnavailable(GatewayError):
    """A URL that names nothing that could be read (RFC 4468 5)."""


class RateExceeded(GatewayError):
    """The key or the inbox has sent to as many recipients as it may in an hour or a day: later."""

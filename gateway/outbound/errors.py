"""Why a connection that goes out failed: one class a cause, with a text that is safe to show."""

from __future__ import annotations

from gateway.model.errors import GatewayError


class OutboundError(GatewayError):
    """Base: no connection, or none that may be used."""


class NameNotFound(OutboundError):
    """The host name has no address."""


class AddressDenied(OutboundError):
    """All addresses of the host are in networks that we do not dial."""


class ConnectFailed(OutboundError):
    """Refused, unreachable or timed out."""

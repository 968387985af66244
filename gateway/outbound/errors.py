"""Why a connection that goes out failed: one class a cause, with a text that is safe to show."""

from __future__ import annotations

from gateway.model.errors import GatewayError

from .failure import Failure


class OutboundError(GatewayError):
    """Base: no connection, or none that may be used. `failure` is its class for advice and retries."""

    failure: Failure = Failure.REFUSED


class NameNotFound(OutboundError):
    """The host name has no address."""

    failure = Failure.DNS


class AddressDenied(OutboundError):
    """All addresses of the host are in networks that we do not dial."""

    failure = Failure.DENIED


class ConnectFailed(OutboundError):
    """Refused, unreachable or timed out."""

    def __init__(self, message: str, failure: Failure = Failure.REFUSED) -> None:
        super().__init__(message)
        self.failure = failure


class ProxyFailed(OutboundError):
    """The proxy cannot be reached, will not serve us, or is none."""

    failure = Failure.PROXY

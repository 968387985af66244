"""What goes wrong with an upstream server, as values: the supervisor of a connector meets nothing else."""

from __future__ import annotations

from gateway.model.errors import GatewayError
from gateway.outbound.failure import Failure


class UpstreamError(GatewayError):
    """Base. `failure` is the class; `said` the server's own words, cleaned, "" where it said nothing.

    The message is a sentence for the person who can act. After it the connection is closed unless it is `Refused`.
    """

    def __init__(self, failure: Failure, message: str, *, said: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.failure = failure
        self.said = said
        self.retry_after = retry_after
        """Seconds that the server asks us to stay away."""


class Refused(UpstreamError):
    """A tagged NO or BAD: this command was not done, the connection goes on. `code`: of RFC 5530, in capitals."""

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        said: str = "",
        code: str = "",
        retry_after: float | None = None,
        bad: bool = False,
    ) -> None:
        super().__init__(failure, message, said=said, retry_after=retry_after)
        self.code = code
        self.bad = bad


class Closed(UpstreamError):
    """The connection is gone: BYE, reset, a deadline, or octets that are no IMAP. What was asked may have been done."""

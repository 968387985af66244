"""What an action in an account ends with when it does not go well: a class, what happened, and what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.connectors.advice import advise
from gateway.connectors.gates import HostAway, HostBusy
from gateway.model.errors import GatewayError
from gateway.outbound.failure import Failure
from gateway.upstream.errors import UpstreamError

_LATER: Final[Mapping[Failure, str]] = {
    Failure.LIMIT: "The account has as many connections as it may have, or a quota is used up: close other mail "
                   "programs, or try again later.",
    Failure.THROTTLED: "The server wants a pause{wait}.",
    Failure.UNAVAILABLE: "The server has an outage of its own; try again later.",
    Failure.LOST: "",
    Failure.BYE: "The server closed the connection and said why.",
    Failure.REFUSED_COMMAND: "",
}  # fmt: skip
"""Where the usual advice is that a sync is tried again by itself, which an action is not."""


class RemoteFailed(GatewayError):
    """The account, or the way to it. `failure` is the class, `said` the server's own words, `advice` what helps."""

    def __init__(
        self, failure: Failure, message: str, advice: str = "", *, said: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(shown(f"{failure.value}: {_ended(message)} {advice}".rstrip()))
        self.failure = failure
        self.message = message
        self.advice = advice
        self.said = said
        self.retry_after = retry_after
        self.log: Sequence[tuple[float, str]] = ()
        """What was said, redacted: a moment and a line each."""


class ValidityChanged(GatewayError):
    """The folder is not the one that UIDs were read from: they name other messages now, or none."""

    def __init__(self, folder: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{shown(folder)} has the UIDVALIDITY {actual or 'none'} now and not {expected}: UIDs of before name other "
            "messages. Nothing was done; search again"
        )
        self.expected = expected
        self.actual = actual


def failed(error: UpstreamError, provider: str, name: str) -> RemoteFailed:
    """`error` for whoever asked for the action. `provider`: a preset's name; `name`: the connector's."""
    advice = _LATER.get(error.failure)
    if advice is None:
        advice = advise(error.failure, "imap", provider, name)
    wait = f" of {error.retry_after:.0f} seconds" if error.retry_after else ""
    message = " ".join([_ended(str(error)), *getattr(error, "__notes__", ())])
    return RemoteFailed(
        error.failure, message, advice.format(wait=wait) if "{wait}" in advice else advice, said=error.said,
        retry_after=error.retry_after,
    )  # fmt: skip


def away(error: HostAway) -> RemoteFailed:
    """Nothing was tried."""
    advice = f"One account asks it until it answers; try again in {max(1, round(error.seconds))} seconds."
    return RemoteFailed(Failure.UNAVAILABLE, _ended(str(error)), advice, retry_after=error.seconds)


def busy(error: HostBusy) -> RemoteFailed:
    """Nothing was tried."""
    if error.full:
        advice = "[connectors] host_connections says how many there may be; try again later, or allow more."
        return RemoteFailed(Failure.LIMIT, _ended(str(error)), advice)
    advice = "[connectors] logins_per_minute says how fast; try again later."
    return RemoteFailed(Failure.THROTTLED, _ended(str(error)), advice)


def shown(text: str) -> str:
    """Names of folders are whatever a server says: nothing in them is for terminals to act on."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."

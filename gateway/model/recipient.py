"""A recipient of a submission and what its sender asked to be told of it (RFC 3461)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag


class Notify(IntFlag):
    """When the sender wants to be told (RFC 3461 4.1); without one of these: never."""

    NEVER = 0
    SUCCESS = 1
    FAILURE = 2
    DELAY = 4


@dataclass(frozen=True, slots=True)
class Recipient:
    """`notify` None: the client said nothing. `orcpt`: the original recipient as it wrote it, `rfc822;joe@a.org`."""

    address: str
    notify: Notify | None = None
    orcpt: str | None = None

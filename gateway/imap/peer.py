"""The other end of a connection, as a session needs it: the transport is not its concern."""

from __future__ import annotations

from typing import Protocol


class Peer(Protocol):
    """What the channel needs of a transport. `write` never blocks; the peer calls `pause` and `resume` back."""

    @property
    def address(self) -> str:
        """The client's IP address, for throttling and logs."""

    @property
    def secure(self) -> bool:
        """TLS protects the connection."""

    @property
    def can_bind(self) -> bool:
        """The TLS ends here, so there is something that both ends of it know."""

    def channel_binding(self, kind: str) -> bytes | None:
        """What both ends know, by the type of RFC 5056; None for a type that is not to be had."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Send what is waiting, then end the connection."""

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def start_tls(self) -> None: ...

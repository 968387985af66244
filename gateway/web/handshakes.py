"""uvicorn's WebSockets, where a handshake may be refused as any request is: with a status and a reason."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class Handshakes(WebSocketsSansIOProtocol):
    """It takes a refusal that has a body for none, and says so in the log: any peer could fill it."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

"""Whether a message lies in an account's Sent: what is asked before one is sent again whose outcome is unknown."""

from __future__ import annotations

from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapEndpoint
from gateway.upstream.errors import UpstreamError
from gateway.upstream.wants import SearchWants

from .gates import PATIENCE_S, Gates, HostAway, HostBusy
from .plan import roles

SENT = "\\Sent"
_DAY = 86_400


async def lies_in_sent(
    endpoint: ImapEndpoint, gates: Gates, account: int, message_id: bytes, since: int, *, patience: float = PATIENCE_S
) -> bool | None:
    """By a short connection of its own, read-only. None: it cannot be told now. `since`: Unix seconds.

    A day earlier is looked from: SINCE compares dates in the server's time zone.
    """
    try:
        async with gates.tried(endpoint.host, endpoint.port, account, patience=patience) as entered:
            client = await ImapClient.connect(endpoint)
            entered.succeeded()
            try:
                raw = roles.resolve(await client.list_mailboxes()).by.get(SENT)
                if raw is None:
                    return None
                await client.select(raw, read_only=True)
                wanted = f"<{message_id.decode('utf-8', 'surrogateescape')}>"
                found = SearchWants(since=since // _DAY - 1, header=(("Message-ID", wanted),))
                return bool(await client.search(found))
            finally:
                await client.log_out()
    except (UpstreamError, UnicodeEncodeError, HostAway, HostBusy):
        return None

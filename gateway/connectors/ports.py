"""What syncing needs of the rest of the gateway: `app` wires it."""

from __future__ import annotations

from typing import Protocol

from gateway.store.connectors.rows import ConnectorRow
from gateway.upstream.endpoint import ImapEndpoint

from .options import Options


class Accounts(Protocol):
    """The connectors' settings, as they hold now."""

    def options(self, row: ConnectorRow) -> Options:
        """InvalidRequest: what is stored breaks a rule that is newer."""

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        """Where to read, and how to log in. `renew`: the token that was used last was refused: get another one.

        Raises UpstreamError with AUTH_OAUTH where the grant is gone, and other GatewayErrors.
        """

    async def imap_ahead(self, row: ConnectorRow, options: Options) -> ImapEndpoint:
        """As `imap`, for a login before the token that is in use has ended: by a later one, where there is one."""

    def is_oauth(self, row: ConnectorRow) -> bool:
        """Whether it logs in with tokens, which can be renewed."""

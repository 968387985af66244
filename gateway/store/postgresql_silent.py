"""Locks of a process that is frozen: PostgreSQL ends a transaction whose client is silent in it.

`idle_in_transaction_session_timeout` does it where the server waits for the next statement. In the middle of a pipeline
it does not count: statements were answered because the client asked for a flush, or were not asked for, and until
the client's Sync the server's session is "active" and waits without end. So each node looks for writers of the store
that are silent in the middle of a transaction, and has the server end them. Whoever wakes up finds its connection
broken, and the writer does the unit again (`postgresql_writer`).

Units never wait for anything between two statements, so seconds of silence are a frozen process. They must be fewer
than `connectors.lease.TTL_S`: another node may not be kept from what it takes over.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from psycopg import Connection

log = structlog.get_logger(__name__)

WRITER: Final = "gateway-writer"
"""`application_name` of connections that hold locks."""

# A session's activity began when its last message came; "Client" is what one waits for that has no more to do.
# Only sessions of the same role may be ended, and are shown whole.
_END: Final = (
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = current_user AND application_name = %s AND state = 'active' AND wait_event_type = 'Client'"
    " AND xact_start IS NOT NULL AND query_start < clock_timestamp() - %s * interval '1 second'"
)


def limit_silence(connection: Connection[Any], seconds: float) -> None:
    """Make this a connection whose transactions end when it is silent in them."""
    connection.execute("SELECT set_config('application_name', %s, false)", [WRITER])
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [f"{seconds * 1000:.0f}"])


def end_silent(connection: Connection[Any], seconds: float) -> int:
    """End what is silent in a pipeline; how many sessions that were."""
    ended = [row[0] for row in connection.execute(_END, [WRITER, seconds]).fetchall() if row[1]]
    if ended:
        log.warning("store.silent_writers_ended", count=len(ended))
    return len(ended)

"""Wake-ups between nodes on PostgreSQL: LISTEN/NOTIFY by a coalescer, and polls for what a broken channel loses.

NOTIFY in a mail transaction takes a database-wide lock at commit and serialises all commits (7,206 to 4,438 a second).
So each node gathers what it changed for some milliseconds and sends it in one small transaction of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from gateway.model.ids import InboxId, MailboxId

from .db import StoreSettings, Wake, WakeKind
from .postgresql_silent import end_silent

log = structlog.get_logger(__name__)

CHANNEL: Final = "gateway_wake"
PAYLOAD_OCTETS: Final = 7_500  # PostgreSQL refuses 8,000
RECONNECT_SECONDS: Final = 1.0
_KINDS: Final = frozenset(kind.value for kind in WakeKind)

_REVOCATIONS: Final = (
    "SELECT (SELECT count(*) FROM api_key WHERE revoked_at IS NOT NULL),"
    " (SELECT max(revoked_at) FROM api_key),"  # beside the number: one may be forgotten while another is revoked
    " (SELECT count(*) FROM inbox WHERE deleted_at IS NOT NULL)"
)


def encode(node: str, wakes: Iterable[Wake]) -> Iterator[str]:
    """Payloads `node kind,inbox,mailbox …` (0 for None), each short enough for one NOTIFY."""
    payload = node
    for wake in wakes:
        word = f" {wake.kind.value},{wake.inbox_id or 0},{wake.mailbox_id or 0}"
        if len(payload) + len(word) > PAYLOAD_OCTETS:
            yield payload
            payload = node
        payload += word
    if payload != node:
        yield payload


def decode(payload: str) -> tuple[str, dict[Wake, None]]:
    """The sending node and its wakes. A payload from a newer node may hold kinds we do not know: they are skipped."""
    node, *words = payload.split(" ")
    wakes: dict[Wake, None] = {}
    for word in words:
        kind, inbox, mailbox = word.split(",")
        if kind in _KINDS:
            found = Wake(WakeKind(kind), InboxId(int(inbox)) or None, MailboxId(int(mailbox)) or None)
            wakes[found] = None
    return node, wakes


class Notifier:
    """Two threads with a connection each: one sends this node's wakes, one listens and polls."""

    def __init__(
        self,
        connect: Callable[[], Connection[tuple[Any, ...]]],
        node: str,
        settings: StoreSettings,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[dict[Wake, None]], None],
    ) -> None:
        self._connect = connect
        self._node = node
        self._settings = settings
        self._loop = loop
        self._publish = publish
        self._queue: SimpleQueue[dict[Wake, None] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_all, name="store-notify", daemon=True),
            threading.Thread(target=self._listen, name="store-listen", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send what is gathered and end both threads. Called off the loop."""
        self._stopping.set()
        self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def announce(self, wakes: dict[Wake, None]) -> None:
        """Tell other nodes soon; from any thread."""
        self._queue.put(wakes)

    # -- sending

    def _send_all(self) -> None:
        connection: Connection[tuple[Any, ...]] | None = None
        while (wakes := self._queue.get()) is not None:
            self._stopping.wait(self._settings.notify_seconds)  # gather what else changes meanwhile
            gathered = dict(wakes)
            last = False
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                gathered.update(more)
            connection = self._send(connection, gathered)
            if last:
                break
        # A listener that waits hears this and sees that it shall end.
        connection = self._send(connection, {})
        if connection is not None:
            connection.close()

    def _send(
        self, connection: Connection[tuple[Any, ...]] | None, wakes: dict[Wake, None]
    ) -> Connection[tuple[Any, ...]] | None:
        payloads = list(encode(self._node, wakes)) or [self._node]
        try:
            connection = connection or self._connect()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", [CHANNEL, payloads])
        except psycopg.Error as error:  # other nodes' polls find it
            log.warning("store.notify_failed", error=repr(error))
            if connection is not None:
                connection.close()
            return None
        return connection

    # -- listening

    def _listen(self) -> None:
        first = True
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    if not first:  # whatever was said while we were deaf
                        self._wake({Wake(kind): None for kind in WakeKind})
                    first = False
                    self._listening.set()
                    self._follow(connection)
            except psycopg.Error as error:
                self._listening.clear()
                log.warning("store.listen_failed", error=repr(error))
                self._stopping.wait(RECONNECT_SECONDS)

    def _follow(self, connection: Connection[tuple[Any, ...]]) -> None:
        """Until told to stop: hand on notifications, poll in between."""
        modseqs = self._poll_mail(connection, None)
        revocations = connection.execute(_REVOCATIONS).fetchone()
        silent = self._settings.silent_seconds
        mail_due = time.monotonic() + self._settings.mail_poll_seconds
        silent_due = time.monotonic()
        while not self._stopping.is_set():
            for notify in connection.notifies(timeout=self._settings.revocation_poll_seconds):
                node, wakes = decode(notify.payload)
                if node != self._node:
                    self._wake(wakes)
                if self._stopping.is_set():
                    return
            found = connection.execute(_REVOCATIONS).fetchone()
            if found != revocations:
                revocations = found
                self._wake({Wake(WakeKind.KEYS): None, Wake(WakeKind.INBOX): None})
            if time.monotonic() >= mail_due:
                modseqs = self._poll_mail(connection, modseqs)
                mail_due = time.monotonic() + self._settings.mail_poll_seconds
            if time.monotonic() >= silent_due:
                end_silent(connection, silent)
                silent_due = time.monotonic() + silent / 5

    def _poll_mail(self, connection: Connection[tuple[Any, ...]], before: dict[int, int] | None) -> dict[int, int]:
        """Wake the inboxes whose MODSEQ moved since `before`; the MODSEQs now."""
        rows = connection.execute("SELECT id, modseq FROM inbox WHERE deleted_at IS NULL").fetchall()
        now = {int(row[0]): int(row[1]) for row in rows}
        if before is not None:
            changed = [inbox for inbox, modseq in now.items() if before.get(inbox) != modseq]
            self._wake({Wake(WakeKind.MAIL, InboxId(inbox)): None for inbox in changed})
        return now

    def _wake(self, wakes: dict[Wake, None]) -> None:
        if not wakes:
            return
        try:
            self._loop.call_soon_threadsafe(self._publish, wakes)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

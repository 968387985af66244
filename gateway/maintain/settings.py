"""Settings of upkeep; the application fills them from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3_600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class JanitorSettings:
    """Ages in seconds unless a name says days; None keeps for ever."""

    staging_seconds: int = DAY
    """Longer than any session may take to bring one message."""
    content_seconds: int = HOUR
    """How long octets stay that nothing refers to any more, and for which an expunged message can still be fetched."""
    trash_days: int | None = None
    """How long messages stay in the mailbox with the role \\Trash, counted from when they came there."""
    spam_days: int | None = None
    """The same for \\Junk."""
    grace_seconds: int = 7 * DAY
    """How long a deleted inbox can be brought back."""
    queue_history_seconds: int = 30 * DAY
    """How long finished submissions are shown."""
    revoked_key_days: int | None = 30
    """How long keys stay listed after they were revoked or expired."""
    same_mail_seconds: int = HOUR
    """How long what was accepted is known, so that the same mail sent twice is one."""
    connector_event_seconds: int = 30 * DAY
    """How long it can be looked up what connectors did."""
    audit_seconds: int = 90 * DAY
    """How long it can be looked up who changed what."""
    webhook_attempt_seconds: int = 7 * DAY
    """How long attempts to tell webhooks are shown."""
    expunge_records: int = 10_000
    """Expunges (each of any number of messages) kept on record a mailbox, for clients that resynchronise."""
    spare_pages: int = 4_096
    """Free pages (4 KiB) that stay in an SQLite file for what comes next, if a tenth of the file is not more."""
    piece_rows: int = 500
    """Rows a unit: a few milliseconds of the writer."""
    piece_chunks: int = 32
    """Body pieces a unit: 2 MiB."""
    pause_seconds: float = 0.02
    """Between units, so that mail always finds the writer free."""
    task_seconds: float = 20.0
    """One kind of work a round takes this long at most, so that none starves the others."""
    interval_seconds: float = 60.0
    """Between rounds."""
    slow_seconds: int = HOUR
    """Between rounds of the tasks that look through whole tables: days of retention, keys, long change records."""

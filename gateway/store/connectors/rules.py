"""What holds of connectors' rows, for the consistency check: (code, text, remedy, statement of what breaks it)."""

from __future__ import annotations

from typing import Final

_REPORT: Final = "Mail is readable. Keep a copy of the store and report this defect"
_RESET: Final = "Mail is readable. Run 'gateway connector reset' for this connector, and report this defect"
_LIVING: Final = "remote_folder f JOIN connector c ON c.id = f.connector_id AND c.removed_at IS NULL"

RULES: Final[tuple[tuple[str, str, str, str], ...]] = (
    (
        "connector.inbox",
        "Connector {0} belongs to no inbox of its pod, or its mode, state or lease cannot be",
        _REPORT,
        "SELECT c.id FROM connector c LEFT JOIN inbox i ON i.id = c.inbox_id AND i.pod_id = c.pod_id"
        " WHERE i.id IS NULL OR c.mode NOT IN ('pull', 'two-way', 'import') OR (c.node_id IS NULL) <> (c.node_inc IS"
        " NULL) OR (c.removed_at IS NOT NULL AND (c.enabled = 1 OR c.node_id IS NOT NULL OR c.imap_secret IS NOT NULL"
        " OR c.smtp_secret IS NOT NULL)) OR c.failures < 0",
    ),
    (
        "folder.live",
        "Folder {0} says that {1} messages are there upstream, and knows {2}",
        _RESET,
        f"SELECT f.id, f.live, (SELECT count(*) FROM remote_message r WHERE r.folder_id = f.id AND r.uidvalidity ="
        f" f.uidvalidity AND r.gone IS NULL) FROM {_LIVING} WHERE f.live <> (SELECT count(*) FROM remote_message r"
        " WHERE r.folder_id = f.id AND r.uidvalidity = f.uidvalidity AND r.gone IS NULL)",
    ),
    (
        "folder.cursors",
        "Folder {0} has cursors that cannot be, or is linked to a mailbox of another inbox",
        _RESET,
        f"SELECT f.id FROM {_LIVING} LEFT JOIN mailbox b ON b.id = f.mailbox_id JOIN inbox i ON i.id = c.inbox_id"
        " WHERE b.inbox_id <> c.inbox_id OR f.pushed_modseq > i.modseq"
        " OR (f.uidvalidity IS NULL) <> (f.uidnext IS NULL) OR f.backfill_low > f.uidnext",
    ),
    (
        "remote.folder",
        "Message {2} of UIDVALIDITY {1} belongs to folder {0}, which is not there, or cannot be",
        _REPORT,
        "SELECT r.folder_id, r.uidvalidity, r.uid FROM remote_message r LEFT JOIN remote_folder f ON f.id = r.folder_id"
        " WHERE f.id IS NULL OR r.uid < 1 OR r.uid > 4294967295 OR r.system < 0 OR r.system > 31"
        " OR r.gone NOT IN ('vanished', 'unknown')",
    ),
    (
        "place.message",
        "Folder {0}: local message {3} of mailbox {2} stands for message {1}, which is not known",
        _RESET,
        "SELECT p.folder_id, p.uid, p.mailbox_id, p.local_uid FROM remote_place p LEFT JOIN remote_message r"
        " ON r.folder_id = p.folder_id AND r.uidvalidity = p.uidvalidity AND r.uid = p.uid WHERE r.uid IS NULL",
    ),
    (
        "place.mailbox",
        "Folder {0}: message {1} stands in mailbox {2}, which is another inbox's, or under UID {3}, never given",
        _RESET,
        "SELECT p.folder_id, p.uid, p.mailbox_id, p.local_uid FROM remote_place p"
        " JOIN remote_folder f ON f.id = p.folder_id JOIN connector c ON c.id = f.connector_id"
        " JOIN mailbox b ON b.id = p.mailbox_id WHERE b.inbox_id <> c.inbox_id OR p.local_uid >= b.uidnext"
        " OR p.local_uid < 1",
    ),
    (
        "place.email",
        "Local message {1} of mailbox {0} has another EMAILID than what it stands for says",
        _RESET,
        "SELECT p.mailbox_id, p.local_uid FROM remote_place p JOIN message m ON m.mailbox_id = p.mailbox_id"
        " AND m.uid = p.local_uid WHERE m.email_id <> p.email_id",
    ),
    (
        "source.content",
        "Connector {0} knows content {1}, which is not there",
        _RESET,
        "SELECT s.connector_id, s.content_id FROM local_source s LEFT JOIN content_meta m ON m.id = s.content_id"
        " LEFT JOIN connector c ON c.id = s.connector_id WHERE m.id IS NULL OR c.id IS NULL",
    ),
    (
        "connector.rows",
        "A row of {1} belongs to connector or folder {0}, which is not there",
        _REPORT,
        "SELECT x.id, x.kind FROM (SELECT connector_id AS id, 'pending_op' AS kind FROM pending_op WHERE connector_id"
        " NOT IN (SELECT id FROM connector) UNION SELECT connector_id, 'connector_event' FROM connector_event"
        " WHERE connector_id NOT IN (SELECT id FROM connector) UNION SELECT connector_id, 'poll_cursor' FROM"
        " poll_cursor WHERE connector_id NOT IN (SELECT id FROM connector) UNION SELECT folder_id, 'remote_poison'"
        " FROM remote_poison WHERE folder_id NOT IN (SELECT id FROM remote_folder)) AS x",
    ),
    (
        "op.state",
        "Operation {0} is {1}, which contradicts what is known of its start, or is planned twice",
        "Look at it with 'gateway connector events'; report this defect",
        "SELECT o.id, o.state FROM pending_op o WHERE o.state NOT IN ('planned', 'started', 'done', 'failed')"
        " OR (o.state = 'started' AND (o.evidence IS NULL OR o.attempts = 0))"
        " OR (o.state IN ('planned', 'started') AND EXISTS (SELECT 1 FROM pending_op t WHERE t.connector_id ="
        " o.connector_id AND t.key = o.key AND t.id <> o.id AND t.state IN ('planned', 'started')))",
    ),
)

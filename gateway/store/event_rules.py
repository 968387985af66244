"""What the consistency check asks of the rows that events are made of (`event_rows`, `webhook_cursors`)."""

from __future__ import annotations

from typing import Final

_REPORT: Final = "Mail is readable. Keep a copy of the store and report this defect"
_KEPT: Final = (("there", "message"), ("expunged", "expunged"))
# A window in the order of the primary key: the rows are walked once, and nothing is sorted or put aside.
_OUT_OF_ORDER: Final = (
    "SELECT a.mailbox_id, a.uid, '{0}', a.arrived, a.earlier FROM (SELECT mailbox_id, uid, arrived,"
    " lag(arrived) OVER (PARTITION BY mailbox_id ORDER BY uid) AS earlier FROM {1}) AS a WHERE a.arrived < a.earlier"
)
_AHEAD: Final = (
    "SELECT b.id, '{0}', a.arrived, b.highest_modseq FROM (SELECT mailbox_id, max(arrived) AS arrived FROM {1}"
    " GROUP BY mailbox_id) AS a JOIN mailbox b ON b.id = a.mailbox_id WHERE a.arrived > b.highest_modseq"
)

RULES: Final = (
    (
        "event.arrival",
        "Message {1} of mailbox {0} ({2}) arrived with MODSEQ {3}, and one with a lower UID with {4}: who follows the"
        " inbox may not be told of it",
        _REPORT,
        " UNION ALL ".join(_OUT_OF_ORDER.format(*kept) for kept in _KEPT),
    ),
    (
        "event.ahead",
        "Mailbox {0}: a message ({1}) arrived with MODSEQ {2}, above its HIGHESTMODSEQ {3}: who follows the inbox is"
        " not told of it yet",
        _REPORT,
        " UNION ALL ".join(_AHEAD.format(*kept) for kept in _KEPT),
    ),
    (
        "webhook.cursor",
        "Webhook {0} was told of inbox {1} up to MODSEQ {2}, and the inbox has drawn {3}",
        "What happens until then is not told. Replay the inbox to the webhook, and report this defect",
        "SELECT c.webhook_id, c.inbox_id, c.modseq, i.modseq FROM webhook_cursor c JOIN inbox i ON i.id = c.inbox_id"
        " WHERE c.modseq > i.modseq",
    ),
    (
        "webhook.gone",
        "Events wait for webhook {0}, which is not there",
        "Nobody is told of them. Report this defect",
        "SELECT o.webhook_id FROM (SELECT webhook_id FROM webhook_once UNION SELECT webhook_id FROM webhook_cursor)"
        " AS o LEFT JOIN webhook w ON w.id = o.webhook_id WHERE w.id IS NULL",
    ),
)
"""(code, text, remedy, statement), as `check` takes them."""

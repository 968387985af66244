"""The consistency check: proves what the units promise to keep, and says what to do where it does not hold.

`gateway doctor --store` runs it, and each store test ends with it. Most rules are one statement that returns the
rows which break it; what SQL says badly stands in `check_deep`. A rule needs one snapshot only for itself, so a
running store is checked rule by rule (`steps`) and no reader lives long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from . import check_deep, check_flags, event_rules
from .connectors import rules as connector_rules
from .db import Rx
from .findings import MOST, Finding
from .statements import Stmt

_RECOUNT: Final = "No mail is lost. Run the check with repair: it counts anew"
_BACKUP: Final = (
    "Stop the gateway, keep a copy of the store, check disk and memory, restore the last good backup, and report this"
)
_JANITOR: Final = "No mail is lost, only space. Run the check with repair: the janitor then collects it"
_REPORT: Final = "Mail is readable. Keep a copy of the store and report this defect"
_QUEUE: Final = "Look at the submission with 'gateway queue show' and cancel or retry it; report this defect"


@dataclass(frozen=True, slots=True)
class Rule:
    """`statement` returns the rows that break the rule; `text` is filled with their columns by position."""

    code: str
    text: str
    remedy: str
    statement: Stmt

    def run(self, rx: Rx) -> list[Finding]:
        rows: list[tuple[Any, ...]] = rx.all(self.statement, most=MOST)
        return [Finding(self.code, self.text.format(*row), self.remedy) for row in rows]


def _rule(code: str, text: str, remedy: str, sql: str) -> Rule:
    return Rule(code, text, remedy, Stmt(f"{sql} LIMIT :most"))


_COUNTED: Final = (
    "(SELECT m.mailbox_id, count(*) AS messages, sum(CASE WHEN f.flags & 1 = 0 THEN 1 ELSE 0 END) AS unseen,"
    " sum(m.size) AS octets, max(m.uid) AS uid, max(f.modseq) AS modseq FROM message m"
    " LEFT JOIN message_flags f ON f.mailbox_id = m.mailbox_id AND f.uid = m.uid GROUP BY m.mailbox_id)"
)
_HELD: Final = "coalesce(sum(b.messages), 0), coalesce(sum(b.octets), 0), coalesce(sum(1 - b.noselect), 0)"
_OPEN: Final = "('queued', 'sending', 'deferred', 'held')"
_PIECES: Final = (
    "(SELECT id >> 16 AS body_id, count(*) AS pieces, max(id & 65535) AS last, sum(length(octets)) AS octets,"
    " sum(CASE WHEN length(octets) = 65536 THEN 1 ELSE 0 END) AS full_pieces FROM content_chunk GROUP BY id >> 16)"
)

RULES: Final = (
    _rule(
        "mailbox.counters",
        "Mailbox {0} says {1} messages, {2} unseen, {3} octets, but holds {4}, {5}, {6}",
        _RECOUNT,
        "SELECT b.id, b.messages, b.unseen, b.octets, coalesce(c.messages, 0), coalesce(c.unseen, 0),"
        f" coalesce(c.octets, 0) FROM mailbox b JOIN inbox i ON i.id = b.inbox_id AND i.deleted_at IS NULL"
        f" LEFT JOIN {_COUNTED} AS c ON c.mailbox_id = b.id"
        " WHERE b.messages <> coalesce(c.messages, 0) OR b.unseen <> coalesce(c.unseen, 0)"
        " OR b.octets <> coalesce(c.octets, 0)",
    ),
    _rule(
        "inbox.counters",
        "Inbox {0} says {1} messages, {2} octets and {3} mailboxes, but holds {4}, {5} and {6}",
        _RECOUNT,
        f"SELECT i.id, i.messages, i.octets, i.mailboxes, {_HELD} FROM inbox i"
        " LEFT JOIN mailbox b ON b.inbox_id = i.id WHERE i.deleted_at IS NULL"
        " GROUP BY i.id, i.messages, i.octets, i.mailboxes HAVING i.messages <> coalesce(sum(b.messages), 0)"
        " OR i.octets <> coalesce(sum(b.octets), 0) OR i.mailboxes <> coalesce(sum(1 - b.noselect), 0)",
    ),
    _rule(
        "mailbox.uidnext",
        "Mailbox {0} would give UID {1} again: it has {2}",
        _BACKUP,
        f"SELECT b.id, b.uidnext, c.uid FROM mailbox b JOIN {_COUNTED} AS c ON c.mailbox_id = b.id WHERE c.uid >="
        f" b.uidnext",
    ),
    _rule(
        "mailbox.modseq",
        "Mailbox {0}: a message has MODSEQ {1}, above its HIGHESTMODSEQ {2}",
        _BACKUP,
        f"SELECT b.id, c.modseq, b.highest_modseq FROM mailbox b JOIN {_COUNTED} AS c ON c.mailbox_id = b.id"
        " WHERE c.modseq > b.highest_modseq",
    ),
    _rule(
        "inbox.modseq",
        "Mailbox {0} has HIGHESTMODSEQ {1} (pruned {2}), its inbox has drawn {3}",
        _BACKUP,
        "SELECT b.id, b.highest_modseq, b.pruned_modseq, i.modseq FROM mailbox b JOIN inbox i ON i.id = b.inbox_id"
        " WHERE b.highest_modseq > i.modseq OR b.highest_modseq < 1 OR b.pruned_modseq > b.highest_modseq",
    ),
    _rule(
        "change.modseq",
        "Inbox {0} has a change {1} with MODSEQ {2} and has drawn {3}",
        _BACKUP,
        "SELECT c.inbox_id, c.kind, c.modseq, i.modseq FROM change c LEFT JOIN inbox i ON i.id = c.inbox_id"
        " WHERE i.id IS NULL OR c.modseq > i.modseq OR c.modseq < 1",
    ),
    _rule(
        "change.pruned",
        "Mailbox {0} has an expunge of MODSEQ {1} on record and says it has none up to {2}",
        _REPORT,
        "SELECT b.id, c.modseq, b.pruned_modseq FROM change c JOIN mailbox b ON b.id = c.mailbox_id"
        " WHERE c.kind = 'expunged' AND c.modseq <= b.pruned_modseq",
    ),
    _rule(
        "message.place",
        "Message {1} of mailbox {0} lies in no mailbox of its inbox, or in one that is only a name",
        _BACKUP,
        "SELECT m.mailbox_id, m.uid FROM message m LEFT JOIN mailbox b ON b.id = m.mailbox_id AND b.inbox_id ="
        " m.inbox_id"
        " WHERE b.id IS NULL OR b.noselect = 1",
    ),
    _rule(
        "message.values",
        "Message {1} of mailbox {0} has a UID, size or id that cannot be",
        _BACKUP,
        "SELECT mailbox_id, uid FROM message WHERE uid < 1 OR uid > 4294967295 OR size < 0"
        " OR email_id NOT LIKE 'M%' OR thread_id NOT LIKE 'T%'",
    ),
    _rule(
        "message.flags",
        "Message {1} of mailbox {0} has no flags and MODSEQ, or such that cannot be",
        _BACKUP,
        "SELECT m.mailbox_id, m.uid FROM message m LEFT JOIN message_flags f ON f.mailbox_id = m.mailbox_id AND"
        " f.uid = m.uid WHERE f.uid IS NULL OR f.flags < 0 OR f.modseq < 1",
    ),
    _rule(
        "flags.message",
        "Mailbox {0} has flags of a message {1}, which is not there",
        "Keep a copy of the store and report this defect. Run the check with repair: the flags go",
        "SELECT f.mailbox_id, f.uid FROM message_flags f LEFT JOIN message m ON m.mailbox_id = f.mailbox_id AND"
        " m.uid = f.uid WHERE m.uid IS NULL",
    ),
    _rule(
        "inbox.uidvalidity",
        "Inbox {0} has {2} mailboxes of UIDVALIDITY {1}",
        "Rename is safe; clients that cache by UIDVALIDITY may mix two mailboxes up: report this defect",
        "SELECT inbox_id, uidvalidity, count(*) FROM mailbox GROUP BY inbox_id, uidvalidity HAVING count(*) > 1",
    ),
    _rule(
        "inbox.last_uidvalidity",
        "Inbox {0} would give UIDVALIDITY {1} again: its last one is {2}",
        _BACKUP,
        "SELECT i.id, max(b.uidvalidity), i.last_uidvalidity FROM inbox i JOIN mailbox b ON b.inbox_id = i.id"
        " GROUP BY i.id, i.last_uidvalidity HAVING max(b.uidvalidity) > i.last_uidvalidity",
    ),
    _rule(
        "inbox.roles",
        "Inbox {0} has {2} mailboxes with the role {1}",
        "Delete or rename one of them; report this defect",
        "SELECT inbox_id, role, count(*) FROM mailbox WHERE role IS NOT NULL GROUP BY inbox_id, role HAVING count(*) >"
        " 1",
    ),
    _rule(
        "inbox.complete",
        "Inbox {0} lacks its INBOX, or has not exactly one primary address",
        _BACKUP,
        "SELECT i.id FROM inbox i WHERE i.deleted_at IS NULL AND (NOT EXISTS"
        " (SELECT 1 FROM mailbox b WHERE b.inbox_id = i.id AND b.name = 'INBOX' AND b.noselect = 0)"
        " OR (SELECT count(*) FROM address a WHERE a.inbox_id = i.id AND a.kind = 'primary') <> 1)",
    ),
    _rule(
        "content.missing",
        "Message {1} of mailbox {0} refers to content {2}, which is not (wholly) there",
        _BACKUP,
        "SELECT m.mailbox_id, m.uid, m.content_id FROM message m LEFT JOIN content_meta c ON c.id = m.content_id"
        " LEFT JOIN content_fetch f ON f.id = m.content_id LEFT JOIN content_header h ON h.id = m.content_id"
        " WHERE c.id IS NULL OR f.id IS NULL OR h.id IS NULL OR c.size <> m.size",
    ),
    _rule(
        "content.header",
        "Content {0} has {2} octets of header instead of {1}",
        _BACKUP,
        "SELECT c.id, c.header_size, coalesce(length(h.octets), -1) FROM content_meta c"
        " LEFT JOIN content_header h ON h.id = c.id LEFT JOIN content_fetch f ON f.id = c.id"
        " WHERE h.id IS NULL OR f.id IS NULL OR length(h.octets) <> c.header_size OR c.size < c.header_size",
    ),
    _rule(
        "content.body",
        "Content {0}: body {1} should have {2} octets and has {3} in {4} pieces",
        _BACKUP,
        "SELECT c.id, c.body_id, c.size - c.header_size, coalesce(p.octets, 0), coalesce(p.pieces, 0)"
        f" FROM content_meta c LEFT JOIN {_PIECES} AS p ON p.body_id = c.body_id"
        " WHERE c.size - c.header_size <> coalesce(p.octets, 0) OR (p.body_id IS NOT NULL"
        " AND (p.last <> p.pieces - 1 OR p.full_pieces < p.pieces - 1))",
    ),
    _rule(
        "content.dangling",
        "Body {0} has {1} pieces and belongs to no content and no arriving message",
        _JANITOR,
        f"SELECT p.body_id, p.pieces FROM {_PIECES} AS p LEFT JOIN content_meta c ON c.body_id = p.body_id"
        " LEFT JOIN staging s ON s.body_id = p.body_id LEFT JOIN content_text t ON t.body_id = p.body_id"
        " WHERE c.id IS NULL AND s.body_id IS NULL AND t.id IS NULL",
    ),
    _rule(
        "content.halves",
        "Content {0} has a header, rendered or search row and no description",
        _JANITOR,
        "SELECT x.id FROM (SELECT id FROM content_header UNION SELECT id FROM content_fetch UNION"
        " SELECT id FROM content_fields UNION SELECT id FROM content_text UNION SELECT id FROM content_sort UNION"
        " SELECT id FROM text_due) AS x"
        " LEFT JOIN content_meta c ON c.id = x.id WHERE c.id IS NULL",
    ),
    _rule(
        "text.size",
        "Content {0} has {2} octets of text for SEARCH instead of {1}",
        _BACKUP,
        "SELECT x.id, coalesce(t.size, -1), coalesce(length(t.octets), p.octets, -1)"
        " FROM (SELECT id FROM content_fields UNION SELECT id FROM content_text) AS x"
        " LEFT JOIN content_fields f ON f.id = x.id LEFT JOIN content_text t ON t.id = x.id"
        f" LEFT JOIN {_PIECES} AS p ON p.body_id = t.body_id"
        " WHERE f.id IS NULL OR t.size IS NULL OR t.size <> coalesce(length(t.octets), p.octets, -1)",
    ),
    _rule(
        "text.missing",
        "Content {0} has no text for SEARCH, and nobody would make it",
        "Searches are right, but slow. Run the check with repair: the text is then made",
        "SELECT DISTINCT m.content_id FROM message m"
        " WHERE NOT EXISTS (SELECT 1 FROM content_text t WHERE t.id = m.content_id)"
        " AND NOT EXISTS (SELECT 1 FROM text_due d WHERE d.id = m.content_id)",
    ),
    _rule(
        "content.unreferenced",
        "Content {0} belongs to nothing, and nobody would collect it",
        _JANITOR,
        "SELECT c.id FROM content_meta c WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.content_id = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM expunged e WHERE e.content_id = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.content_id = c.id AND s.finished_at IS NULL)"
        " AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.content_id = c.id)",
    ),
    _rule(
        "expunged.place",
        "The record of message {1} of mailbox {0}, which was expunged, cannot be: living, of a missing mailbox, or not"
        " given yet",
        _REPORT,
        "SELECT e.mailbox_id, e.uid FROM expunged e LEFT JOIN mailbox b ON b.id = e.mailbox_id"
        " LEFT JOIN message m ON m.mailbox_id = e.mailbox_id AND m.uid = e.uid"
        " WHERE b.id IS NULL OR e.uid >= b.uidnext OR m.uid IS NOT NULL",
    ),
    _rule(
        "expunged.content",
        "Expunged message {1} of mailbox {0} keeps content {2}, which is not there",
        _REPORT,
        "SELECT e.mailbox_id, e.uid, e.content_id FROM expunged e LEFT JOIN content_meta c ON c.id = e.content_id"
        " WHERE c.id IS NULL",
    ),
    _rule(
        "queue.content",
        "Submission {0} is open and its content {1} is not there",
        _QUEUE,
        "SELECT s.uuid, s.content_id FROM submission s LEFT JOIN content_meta c ON c.id = s.content_id"
        " WHERE s.finished_at IS NULL AND c.id IS NULL",
    ),
    _rule(
        "queue.finished",
        "Submission {0} has {1} open recipients, which its end contradicts",
        _QUEUE,
        "SELECT s.uuid, (SELECT count(*) FROM queue_recipient r WHERE r.submission_id = s.id"
        f" AND r.state IN {_OPEN}) FROM submission s WHERE (s.finished_at IS NULL) <> EXISTS"
        f" (SELECT 1 FROM queue_recipient r WHERE r.submission_id = s.id AND r.state IN {_OPEN})",
    ),
    _rule(
        "queue.recipient",
        "Recipient {0} of submission {1} is {2} without the time or lease that belongs to it",
        _QUEUE,
        "SELECT r.id, r.submission_id, r.state FROM queue_recipient r LEFT JOIN submission s ON s.id = r.submission_id"
        " WHERE s.id IS NULL OR s.inbox_id <> r.inbox_id"
        " OR (r.state IN ('queued', 'deferred') AND r.next_attempt IS NULL)"
        " OR (r.state = 'sending' AND (r.lease_until IS NULL OR r.lease_owner IS NULL))"
        " OR (r.state <> 'sending' AND r.lease_owner IS NOT NULL) OR r.attempts < 0",
    ),
    _rule(
        "queue.draft",
        "Submission {0} waits for draft {1}, which is not there, or is done and still has it",
        _QUEUE,
        "SELECT s.uuid, s.draft FROM submission s WHERE s.draft IS NOT NULL AND (s.finished_at IS NOT NULL OR NOT"
        " EXISTS (SELECT 1 FROM message m WHERE m.inbox_id = s.inbox_id AND m.email_id = s.draft))",
    ),
    _rule(
        "list.place",
        "Entry {0} of the lists is for {1}, which does not fit its pod and inbox",
        "Remove it with 'gateway list remove' and add it anew; report this defect",
        "SELECT e.uuid, e.scope FROM list_entry e LEFT JOIN inbox i ON i.id = e.inbox_id"
        " LEFT JOIN pod p ON p.id = e.pod_id WHERE NOT"
        " ((e.scope = 'all' AND e.pod_id = 0 AND e.inbox_id = 0)"
        " OR (e.scope = 'pod' AND p.id IS NOT NULL AND e.inbox_id = 0)"
        " OR (e.scope = 'inbox' AND i.id IS NOT NULL AND e.pod_id IN (0, i.pod_id)))",
    ),
    _rule(
        "address.inbox",
        "Address {0} belongs to no inbox, or its kind {1} is unknown",
        "Delete the address with 'gateway address delete'; report this defect",
        "SELECT a.address, a.kind FROM address a LEFT JOIN inbox i ON i.id = a.inbox_id"
        " WHERE i.id IS NULL OR a.kind NOT IN ('primary', 'alias', 'external') OR a.address <> lower(a.address)",
    ),
    _rule(
        "address.domain",
        "Address {0} lies in no domain of its inbox's pod",
        "Create the domain in that pod with 'gateway domain add', or delete the address",
        "SELECT a.address FROM address a JOIN inbox i ON i.id = a.inbox_id WHERE a.kind <> 'external' AND NOT EXISTS"
        " (SELECT 1 FROM domain d WHERE d.pod_id = i.pod_id"
        " AND substr(a.address, length(a.address) - length(d.name)) = '@' || d.name)",
    ),
    _rule(
        "key.scope",
        "Key {0} has scope {1}, which does not fit its pod and inbox",
        "Revoke the key with 'gateway key revoke' and make another; report this defect",
        "SELECT k.key_id, k.scope FROM api_key k LEFT JOIN inbox i ON i.id = k.inbox_id WHERE NOT"
        " ((k.scope = 'all' AND k.pod_id IS NULL AND k.inbox_id IS NULL)"
        " OR (k.scope = 'pod' AND k.pod_id IS NOT NULL AND k.inbox_id IS NULL)"
        " OR (k.scope = 'inbox' AND k.inbox_id IS NOT NULL AND k.pod_id = i.pod_id))",
    ),
    _rule(
        "annotation.place",
        "Annotation {2} of inbox {0} belongs to mailbox {1}, which is not there, or is not named as all are",
        _REPORT,
        "SELECT a.inbox_id, a.mailbox_id, a.entry FROM annotation a LEFT JOIN inbox i ON i.id = a.inbox_id"
        " LEFT JOIN mailbox b ON b.id = a.mailbox_id AND b.inbox_id = a.inbox_id"
        " WHERE i.id IS NULL OR (a.mailbox_id <> 0 AND b.id IS NULL) OR a.entry <> lower(a.entry)"
        " OR a.modseq > i.modseq",
    ),
    _rule(
        "keyword.mailbox",
        "Keyword bit {1} belongs to mailbox {0}, which is not there, or is no keyword's bit",
        _REPORT,
        "SELECT k.mailbox_id, k.bit FROM keyword k LEFT JOIN mailbox b ON b.id = k.mailbox_id"
        " WHERE b.id IS NULL OR k.bit < 5 OR k.bit > 62",
    ),
    *(_rule(*rule) for rule in (*event_rules.RULES, *connector_rules.RULES)),
)


def steps() -> list[Callable[[Rx], list[Finding]]]:
    """The check without hashes, in pieces that each want a snapshot of their own."""
    return [*(rule.run for rule in RULES), *check_deep.STEPS, check_flags.record]


def check(rx: Rx, *, deep: bool = False) -> list[Finding]:
    """All that is wrong, at most MOST findings a rule, from one snapshot. `deep` also hashes each content anew."""
    findings = [finding for step in steps() for finding in step(rx)]
    if deep:
        after: int | None = 0
        while after is not None:
            page, after = check_deep.hash_page(rx, after)
            findings += page
    return findings

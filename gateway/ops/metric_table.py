"""Every metric of the gateway: name, kind, labels, help. What is not here is not exported.

Names are those that the packages count by (`model.ports.Metrics`); the page shows them with `gateway_` before, and
`_total` after a counter. Label values come from closed sets in the code, never from a peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FAST: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Seconds; upper bounds for work of our own."""
SLOW: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Seconds; upper bounds for work that waits for others."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    TIMING = "timing"


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric. `buckets` are for timings only.

    `shown`: the name on the page where it differs, for OpenMetrics takes `x` and `x_total` for one name.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = FAST
    shown: str = ""


TABLE: Final[tuple[Declared, ...]] = (
    Declared("web_requests_total", Kind.COUNTER, "HTTP requests, by class of status.", ("status",)),
    Declared("webhook_attempts_total", Kind.COUNTER, "Deliveries to webhooks that were tried.", ("result",)),
    Declared("web_defects_total", Kind.COUNTER, "HTTP requests that met a defect; the log has the incident."),
    Declared("auth_logins_total", Kind.COUNTER, "Logins checked: ok, failed, throttled.", ("result",)),
    Declared("imap_connections_total", Kind.COUNTER, "IMAP connections accepted."),
    Declared("imap_connections", Kind.GAUGE, "Open IMAP connections.", shown="imap_open_connections"),
    Declared("imap_logins_total", Kind.COUNTER, "IMAP logins by result and mechanism.", ("result", "mechanism")),
    Declared("imap_command_seconds", Kind.TIMING, "Time of an IMAP command until its tagged response.", ("command",)),
    Declared("imap_defects_total", Kind.COUNTER, "IMAP commands that ended in a defect of ours (SERVERBUG)."),
    Declared("imap_states_evicted_total", Kind.COUNTER, "Mailbox states dropped from memory."),
    Declared("imap_appended_octets_total", Kind.COUNTER, "Octets of messages stored by APPEND."),
    Declared("smtp_connections", Kind.GAUGE, "Open submission connections.", shown="smtp_open_connections"),
    Declared("smtp_logins", Kind.COUNTER, "Submission logins by result.", ("result",)),
    Declared("smtp_submissions", Kind.COUNTER, "Messages submitted, by result.", ("result",)),
    Declared("lmtp_messages", Kind.COUNTER, "Messages taken by LMTP: accepted for one recipient at least, or refused.",
             ("result",)),
    Declared("smtp_tls_failures", Kind.COUNTER, "TLS handshakes of submission that failed."),
    Declared("smtp_internal_errors", Kind.COUNTER, "Submission commands that ended in a defect of ours (451)."),
    Declared("delivery_attempts_total", Kind.COUNTER, "Attempts at a recipient, by verdict.", ("verdict",)),
    Declared("delivery_route_failures_total", Kind.COUNTER, "Routes that could not be reached.", ("route",)),
    Declared("delivery_interrupted_total", Kind.COUNTER, "Attempts whose outcome a crash left unknown."),
    Declared("delivery_repeated_total", Kind.COUNTER, "Attempts that may deliver what an earlier one has delivered."),
    Declared("delivery_active", Kind.GAUGE, "Attempts under way."),
    Declared("delivery_next_hops", Kind.GAUGE, "Known next hops, by the state of their breaker.", ("breaker",)),
    Declared("delivery_reports_total", Kind.COUNTER, "Mail that came in and was looked at as a report.", ("result",)),
    Declared("delivery_defects_total", Kind.COUNTER, "Attempts that ended in a defect of ours."),
    Declared("store_reader_processes", Kind.GAUGE, "Reader processes that are up."),
    Declared("queue_recipients", Kind.GAUGE, "Recipients in the queue: queued, sending, deferred, held.", ("state",)),
    Declared("queue_due_recipients", Kind.GAUGE, "Recipients whose time has come and that wait to be claimed."),
    Declared("queue_claim_seconds", Kind.TIMING, "Time in which a unit claimed what goes next."),
    Declared("queue_oldest_seconds", Kind.GAUGE, "Age of the oldest message with a recipient that is not done."),
    Declared("oauth_refreshes", Kind.COUNTER,
             "Access tokens asked of providers, by result: ok, reauth, app, transient.", ("result",)),
    Declared("janitor_rows", Kind.COUNTER, "Rows (free_pages: pages) the janitor took away, by task.", ("task",)),
    Declared("search_texts_total", Kind.COUNTER, "Contents whose text for SEARCH was made."),
    Declared("search_texts_waiting", Kind.GAUGE, "Contents whose text for SEARCH is still to be made."),
    Declared("search_trigrams_total", Kind.COUNTER, "Contents that came into the trigram index."),
    Declared("store_pages", Kind.GAUGE, "Pages (4 KiB) of the SQLite file; 0 on PostgreSQL."),
    Declared("store_free_pages", Kind.GAUGE, "Pages of the SQLite file that hold nothing: room for new mail."),
)

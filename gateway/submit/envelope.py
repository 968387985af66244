"""The values that acceptance takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.ids import InboxId, SubmissionId
from gateway.model.permissions import Principal


@dataclass(frozen=True, slots=True)
class SubmissionEnvelope:
    """Who sends what to whom. `mail_from` "" is the null reverse-path.

    `protocol` is the `with` word of the trace field (RFC 3848, RFC 6531): ESMTPSA and the like.
    """

    principal: Principal
    mail_from: str
    recipients: tuple[str, ...]
    body_8bit: bool = False
    smtputf8: bool = False
    envelope_id: str | None = None
    protocol: str = "ESMTPSA"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a message. `trace_id` is in its Received field and in the reply."""

    trace_id: str
    local: tuple[InboxId, ...]
    queued: SubmissionId | None
    size: int

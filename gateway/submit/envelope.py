"""The values that acceptance takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.model.ids import InboxId, SubmissionId
from gateway.model.permissions import Principal
from gateway.model.recipient import Recipient


@dataclass(frozen=True, slots=True)
class SubmissionEnvelope:
    """Who sends what to whom. `mail_from` "" is the null reverse-path.

    `envelope_id`, `ret`: DSN's ENVID, decoded, and RET (RFC 3461 4.3, 4.4). `release_at`: Unix seconds, not sent before
    (RFC 4865); `hold`: how the client said so, as reports repeat it. `protocol` is the `with` word of the trace field
    (RFC 3848, RFC 6531): ESMTPSA and the like.
    """

    principal: Principal
    mail_from: str
    recipients: tuple[Recipient, ...]
    body_8bit: bool = False
    body_binary: bool = False
    smtputf8: bool = False
    envelope_id: str | None = None
    ret: Literal["FULL", "HDRS"] | None = None
    release_at: int | None = None
    hold: str | None = None
    protocol: str = "ESMTPSA"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a message. `trace_id` is in its Received field and the reply; `queued`: recipients elsewhere.

    `submission` None: it was the same mail once more, and `trace_id` is the earlier one's. `held_as`: the name under
    which it waits for somebody's consent, for `gateway queue release`.
    """

    trace_id: str
    submission: SubmissionId | None
    local: tuple[InboxId, ...]
    queued: int
    size: int
    held_as: str | None = None

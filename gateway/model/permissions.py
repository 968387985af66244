"""What a key may do. Stored permissions are AgentMail's names; `read`, `write`, `draft`, `send` are bundles of them.

One table serves command line, IMAP, submission and (later) HTTP, so that a key means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from .ids import InboxId, KeyId, PodId
from .rates import UNSAID, Rates

BUNDLES: Final[Mapping[str, frozenset[str]]] = {
    "read": frozenset(
        {"inbox_read", "message_read", "draft_read", "label_spam_read", "label_blocked_read",
         "label_unauthenticated_read", "label_trash_read"}
    ),
    "write": frozenset({"message_update", "message_create", "message_delete"}),
    "draft": frozenset({"draft_create", "draft_update", "draft_delete"}),
    "send": frozenset({"message_send", "draft_send"}),
    "admin": frozenset(
        {"inbox_create", "inbox_update", "inbox_delete", "webhook_read", "webhook_create", "webhook_update",
         "webhook_delete", "domain_read", "domain_create", "domain_update", "domain_delete", "list_entry_read",
         "list_entry_create", "list_entry_delete", "api_key_read", "api_key_create", "api_key_delete", "pod_read",
         "pod_create", "pod_delete", "metrics_read", "connector_read", "connector_update", "queue_read",
         "queue_update"}
    ),
}
ALL_PERMISSIONS: Final = frozenset().union(*BUNDLES.values())
DEFAULT_BUNDLES: Final = ("read", "write", "draft", "send")
SENDS_DRAFTS: Final = frozenset({"message_send", "draft_send"})
"""Each of them lets a key send what lies in Drafts."""


def expand(names: Iterable[str]) -> frozenset[str]:
    """Bundle and permission names -> permission names. ValueError names an unknown one."""
    found: set[str] = set()
    for name in names:
        if name in BUNDLES:
            found |= BUNDLES[name]
        elif name in ALL_PERMISSIONS:
            found.add(name)
        else:
            raise ValueError(f"unknown permission {name!r}; bundles are {', '.join(BUNDLES)}")
    return frozenset(found)


def bundles_in(permissions: frozenset[str]) -> list[str]:
    """Display form: whole bundles by their name, single permissions after them."""
    shown = [name for name, members in BUNDLES.items() if members <= permissions]
    covered = frozenset().union(*(BUNDLES[name] for name in shown)) if shown else frozenset()
    return shown + sorted(permissions - covered)


SentCopy = Literal["auto", "always", "never"]
"""When a submission leaves its copy in Sent; `auto`: unless the client stores its own (clients.md)."""


WhatIsBlocked = Literal["spam", "refuse"]
"""Where mail goes that a list keeps from an inbox: into its mailbox for junk, or back."""


class ScopeKind(StrEnum):
    ALL = "all"
    POD = "pod"
    INBOX = "inbox"


@dataclass(frozen=True, slots=True)
class Principal:
    """A key that has logged in for one inbox. Expiry and revocation are watched by whoever holds the session."""

    key_id: KeyId
    key_name: str
    scope: ScopeKind
    pod_id: PodId | None
    """Pod of the scope; for an inbox scope the inbox's pod; None for scope ALL."""
    inbox_id: InboxId
    """The inbox whose address was the user name."""
    inbox_address: str
    permissions: frozenset[str]
    expires_at: int | None
    sent_copy: SentCopy | None = None
    """The key's own rule for Sent copies; None: as the inbox has it."""
    rates: Rates = UNSAID
    """What the key may send, as far as it says."""

    @property
    def may_send(self) -> bool:
        return "message_send" in self.permissions

    @property
    def may_send_drafts(self) -> bool:
        return bool(SENDS_DRAFTS & self.permissions)

    @property
    def may_propose(self) -> bool:
        """What it submits waits for the consent of somebody who may send."""
        return "draft_create" in self.permissions

"""What a key may do in a mailbox: one table from actions to permissions, for IMAP and the HTTP side alike."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from .mailbox import DRAFTS, JUNK, TRASH


class Action(Enum):
    READ = "read messages"
    FLAG = "change flags"
    ADD = "add messages"
    REMOVE = "remove messages"
    FOLDERS = "create, rename, delete and subscribe mailboxes"


_NEEDED: Final[Mapping[Action, tuple[str, str | None]]] = {
    Action.READ: ("message_read", "draft_read"),
    Action.FLAG: ("message_update", "draft_update"),
    Action.ADD: ("message_create", "draft_create"),
    Action.REMOVE: ("message_delete", "draft_delete"),
    Action.FOLDERS: ("message_update", None),
}
"""Permission that allows it anywhere, and the one that allows it in the \\Drafts mailbox."""

_LABEL: Final[Mapping[str | None, frozenset[str]]] = {
    JUNK: frozenset({"label_spam_read", "label_blocked_read"}),
    TRASH: frozenset({"label_trash_read"}),
}
"""Reading these mailboxes needs more. What a list keeps from an inbox lies in its mailbox for junk, and nothing tells
it from other junk there: who may not see the one sees nothing of the other."""


def allowed(permissions: frozenset[str], action: Action, role: str | None = None) -> bool:
    """Whether a key with `permissions` may do `action` in a mailbox with `role`."""
    anywhere, in_drafts = _NEEDED[action]
    if action is Action.READ and not _LABEL.get(role, frozenset()) <= permissions:
        return False
    return anywhere in permissions or (role == DRAFTS and in_drafts is not None and in_drafts in permissions)

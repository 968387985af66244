"""What a key may do in a mailbox (features.md 3): one table from actions to permissions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from gateway.model.errors import NoPermission
from gateway.model.mailbox import DRAFTS, JUNK, TRASH
from gateway.model.permissions import Principal


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

_LABEL: Final[Mapping[str, str]] = {JUNK: "label_spam_read", TRASH: "label_trash_read"}
"""Reading these mailboxes needs one permission more."""


def allowed(principal: Principal, action: Action, role: str | None = None) -> bool:
    """Whether the key may do `action` in a mailbox with `role`."""
    anywhere, in_drafts = _NEEDED[action]
    if action is Action.READ and role is not None and _LABEL.get(role, "message_read") not in principal.permissions:
        return role == DRAFTS and "draft_read" in principal.permissions
    return anywhere in principal.permissions or (
        role == DRAFTS and in_drafts is not None and in_drafts in principal.permissions
    )


def require(principal: Principal, action: Action, role: str | None = None) -> None:
    """NoPermission unless `allowed`."""
    if not allowed(principal, action, role):
        raise NoPermission(f"This key may not {action.value} here")


def writable(principal: Principal, role: str | None) -> bool:
    """Whether SELECT of a mailbox answers [READ-WRITE]: the key may change flags or remove messages there."""
    return allowed(principal, Action.FLAG, role) or allowed(principal, Action.REMOVE, role)

"""What a key may do in a mailbox (features.md 3): `model.rights` for who has logged in."""

from __future__ import annotations

from gateway.model import rights
from gateway.model.errors import NoPermission
from gateway.model.permissions import Principal
from gateway.model.rights import Action

__all__ = ["Action", "allowed", "require", "writable"]


def allowed(principal: Principal, action: Action, role: str | None = None) -> bool:
    """Whether the key may do `action` in a mailbox with `role`."""
    return rights.allowed(principal.permissions, action, role)


def require(principal: Principal, action: Action, role: str | None = None) -> None:
    """NoPermission unless `allowed`."""
    if not allowed(principal, action, role):
        raise NoPermission(f"This key may not {action.value} here")


def writable(principal: Principal, role: str | None) -> bool:
    """Whether SELECT of a mailbox answers [READ-WRITE]: the key may change flags or remove messages there."""
    return allowed(principal, Action.FLAG, role) or allowed(principal, Action.REMOVE, role)

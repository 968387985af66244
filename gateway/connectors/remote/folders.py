"""Folders of an account as people name them: by the name that LIST shows, with `/` between levels, or by their role."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Final

from gateway.connectors.plan.filters import slashed
from gateway.connectors.plan.roles import INBOX, ROLES, Roles
from gateway.model.mailbox import DELIMITER
from gateway.outbound.failure import Failure
from gateway.upstream import names
from gateway.upstream.errors import Refused
from gateway.upstream.values import ListedMailbox

_ROLE_OF_WORD: Final = {role.lower(): role for role in ROLES}
_CLOSE: Final = 0.6
_LOOKED_AT: Final = 500  # names that are compared: it is for a hint


def find(listed: Sequence[ListedMailbox], roles: Callable[[], Roles], word: str) -> ListedMailbox:
    """The folder that `word` names: exactly, then with `/` for the server's delimiter, then by role (`\\Trash`).

    Refused with FOLDER_MISSING, and what is called nearly so. `roles` are asked for only where they are needed: to
    tell them takes a while in accounts of very many folders.
    """
    if word.upper() == INBOX:
        for one in listed:
            if one.raw.upper() == b"INBOX":
                return one
        return ListedMailbox(b"INBOX", INBOX, None, frozenset())  # it is there, listed or not
    role = _ROLE_OF_WORD.get(word.lower()) if word.startswith("\\") else None
    for spelled in (
        lambda one: one.name == word,
        lambda one: slashed(one) == word,
        lambda one: one.raw.decode("latin-1") == word,
    ):
        found = next((one for one in listed if spelled(one)), None)
        if found is not None:
            return found
    raw = roles().by.get(role) if role is not None else None
    if raw is not None:
        return next(one for one in listed if one.raw == raw)
    raise missing(listed, word)


def missing(listed: Sequence[ListedMailbox], word: str) -> Refused:
    by_folded = {one.name.casefold(): one.name for one in listed}
    close = difflib.get_close_matches(word.casefold()[:200], list(by_folded)[:_LOOKED_AT], 1, _CLOSE)
    hint = f"; did you mean {by_folded[close[0]]}?" if close else ""
    return Refused(Failure.FOLDER_MISSING, f"The account has no folder {word}{hint}")


def spelled(word: str, delimiter: str | None, prefix: bytes, elsewhere: tuple[bytes, ...] = ()) -> bytes:
    """How a new folder is called there: levels by the server's delimiter, below `prefix`, the personal namespace.

    `elsewhere`: prefixes of other namespaces, which are left as they are. InvalidName.
    """
    if delimiter is not None and delimiter != DELIMITER:
        word = word.replace(DELIMITER, delimiter)
    raw = names.encode(word)
    if prefix and not raw.upper().startswith(prefix.upper()) and not raw.startswith(elsewhere):
        raw = prefix + raw
    return raw

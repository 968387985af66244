"""What a remote folder is called here: one local mailbox each, whatever the server's names hold. Pure.

A name is kept once it was given (`known`), so that a folder that appears or changes its role never renames another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from gateway.model.composed import composed
from gateway.model.errors import InvalidName
from gateway.model.mailbox import DELIMITER, INBOX, MAX_DEPTH, MAX_NAME_OCTETS, USUAL_NAMES
from gateway.model.names import canonical, validate
from gateway.upstream.values import ListedMailbox

from .roles import ARCHIVE

_NOT_HERE: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))
_MARK: Final = 12  # signs of a digest that keeps what was cut apart
_ROOM: Final = 40  # octets for that mark, or for " (2)"


def local_names(
    listed: Sequence[ListedMailbox],
    roles: Mapping[bytes, str],
    *,
    prefix: str = "",
    standard: Mapping[str, str] = USUAL_NAMES,
    known: Mapping[bytes, str] | None = None,
    taken: frozenset[str] = frozenset(),
    below: str = "",
) -> dict[bytes, str]:
    """Raw name -> valid local name for each of `listed`, all different.

    `prefix`: of the personal namespace (RFC 2342), as `INBOX.`. `standard`: role -> our mailbox of that role. `taken`:
    local names that no folder may get by its name, those of another connector say. `below`: all go below that
    mailbox, and INBOX is that one.
    """
    found: dict[bytes, str] = {}
    used = set(taken)
    for folder in listed:
        name = (known or {}).get(folder.raw)
        if name is not None:
            found[folder.raw] = name
            used.add(name)
    for folder in sorted(listed, key=lambda one: (one.raw not in roles, one.raw)):
        if folder.raw in found:
            continue
        name, own = _wish(folder, roles.get(folder.raw), prefix, standard)
        if below:
            name = below if name == INBOX else below + DELIMITER + name
        name = _fitting(name, folder.raw)
        # INBOX and the mailboxes with a role are ours, and may be another connector's too; other names are one folder's
        if not (own and name not in found.values()):
            name = _free(name, used | _reserved(standard, below))
        found[folder.raw] = name
        used.add(name)
    return found


def _reserved(standard: Mapping[str, str], below: str) -> frozenset[str]:
    names = {INBOX, *standard.values()}
    return frozenset(below + DELIMITER + name for name in names) if below else frozenset(names)


def _wish(folder: ListedMailbox, role: str | None, prefix: str, standard: Mapping[str, str]) -> tuple[str, bool]:
    """The name that a folder would have, and whether it is one of our own mailboxes."""
    if role == INBOX or folder.name.upper() == INBOX:
        return INBOX, True
    if role is not None and role in standard:
        return standard[role], True
    if role == ARCHIVE:
        return "Archive", False
    name = folder.name
    if prefix and len(name) > len(prefix) and name[: len(prefix)].upper() == prefix.upper():
        name = name[len(prefix) :]
    levels = name.split(folder.delimiter) if folder.delimiter else [name]
    return DELIMITER.join(_level(level) for level in levels[: MAX_DEPTH - 2]), False


def _level(level: str) -> str:
    """One level without what our names may not hold."""
    form = composed(level)
    if form is None:  # a pile of combining characters
        form = "".join(char for char in level if not unicodedata.combining(char))
    clean = "".join("_" if char in "*%/" or unicodedata.category(char) in _NOT_HERE else char for char in form)
    return clean or "_"


def _fitting(name: str, raw: bytes) -> str:
    """`name` within our limits and INBOX spelled as ours; what is cut bears a digest of the raw name."""
    name = canonical(name)
    octets = name.encode("utf-8", "replace")
    if len(octets) > MAX_NAME_OCTETS - _ROOM:
        head = octets[: MAX_NAME_OCTETS - 2 * _ROOM].decode("utf-8", "ignore").rstrip(DELIMITER)
        name = f"{head}~{sha256(raw).hexdigest()[:_MARK]}"
    try:
        return validate(name)
    except InvalidName:  # cutting left something that is no name: the digest always is one
        return f"folder-{sha256(raw).hexdigest()[:_MARK]}"


def _free(name: str, used: frozenset[str] | set[str]) -> str:
    if name not in used:
        return name
    number = 2
    while f"{name} ({number})" in used:
        number += 1
    return f"{name} ({number})"


def remote_name(local: str, *, delimiter: str | None, prefix: str = "", below: str = "") -> str | None:
    """What a mailbox made here is called upstream; None when the server cannot have it."""
    if below:
        if not local.startswith(below + DELIMITER):
            return None
        local = local[len(below) + len(DELIMITER) :]
    levels = local.split(DELIMITER)
    if delimiter is None:
        return local if len(levels) == 1 else None
    if delimiter != DELIMITER and any(delimiter in level for level in levels):
        return None
    return prefix + delimiter.join(levels)

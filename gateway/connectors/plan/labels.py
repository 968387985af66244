"""Gmail (X-GM-EXT-1): which folders are read, and which local mailboxes a message's labels put it into. Pure.

Every message is once in the folder \\All, in \\Junk or in \\Trash; what other servers show as folders are its labels.
Here it is one content with a row in each mailbox that a label names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model.mailbox import INBOX

from .roles import ALL, ARCHIVE, DRAFTS, JUNK, SENT, TRASH

_SYSTEM: Final = {
    "\\inbox": INBOX, "\\sent": SENT, "\\draft": DRAFTS, "\\drafts": DRAFTS, "\\trash": TRASH, "\\spam": JUNK,
    "\\junk": JUNK,
}  # fmt: skip
"""System labels that are mailboxes. \\Important, \\Starred (the flag \\Flagged), \\Muted and categories are none."""
FOLDERS: Final = (ALL, JUNK, TRASH)
_SPELLED: Final = {INBOX: "\\Inbox", SENT: "\\Sent", DRAFTS: "\\Draft"}


def spelled(label: str | None) -> str | None:
    """As X-GM-LABELS spells what a place stands for. None: no label says so (the archive)."""
    if label is None or label == ARCHIVE:
        return None
    return _SPELLED.get(label, label)


def borne(label: str | None) -> tuple[str, ...]:
    """What a message bears that was put into the folder of a label."""
    found = spelled(label)
    return () if found is None else (found,)


@dataclass(frozen=True, slots=True)
class GmailFolders:
    """`raws`: the folders to read, \\All first. `labelled` False: \\All is hidden ("Show in IMAP" is off), so each
    label is read as a folder, and X-GM-MSGID tells that two of them hold the same message.
    """

    labelled: bool
    raws: tuple[bytes, ...]


def gmail_folders(roles: Mapping[str, bytes], selectable: Iterable[bytes]) -> GmailFolders:
    """What to read of an account whose folders have `roles`; without \\All, all that is selectable."""
    if ALL in roles:
        return GmailFolders(True, tuple(roles[role] for role in FOLDERS if role in roles))
    return GmailFolders(False, tuple(selectable))


def mailboxes_of(
    labels: Iterable[str], local_of_role: Mapping[str, str], local_of_label: Callable[[str], str | None]
) -> frozenset[str]:
    """The local mailboxes of a message in \\All. One without any is archived: it is in the mailbox of \\Archive.

    `local_of_role` has INBOX, \\Sent, \\Drafts, \\Archive; `local_of_label` None for a label that is not synced.
    """
    found: set[str] = set()
    for label in labels:
        folded = label.lower()
        if folded in _SYSTEM:
            name = local_of_role.get(_SYSTEM[folded])
        elif folded == "inbox":  # nobody can make a label of that name: it is the system's
            name = local_of_role.get(INBOX)
        elif label.startswith("\\"):
            continue
        else:
            name = local_of_label(label)
        if name is not None:
            found.add(name)
    if not found:
        archive = local_of_role.get(ARCHIVE)
        return frozenset() if archive is None else frozenset((archive,))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class LabelMerge:
    """As `FlagMerge`, for labels: sets of names that compare exactly."""

    here_add: frozenset[str]
    here_remove: frozenset[str]
    up_add: frozenset[str]
    up_remove: frozenset[str]


def merge_labels(
    base: frozenset[str] | None, local: frozenset[str], remote: frozenset[str], *, two_way: bool
) -> LabelMerge:
    """Who changed a label since `base` wins. Without a base nothing is taken away from either side."""
    if base is None:
        return LabelMerge(remote - local, frozenset(), local - remote if two_way else frozenset(), frozenset())
    return LabelMerge(
        here_add=(remote - base) - local,
        here_remove=(base - remote) & local,
        up_add=((local - base) - remote) if two_way else frozenset(),
        up_remove=((base - local) & remote) if two_way else frozenset(),
    )

"""Which parts of a message are its text, as plain text and as HTML, and which are attached. Pure.

What a reader sees one after the other are *slots*: a text part, or a multipart/alternative, of which the plain and the
HTML form are kept. All else is attached, and a message inside a message is attached as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .rendered import Leaf


@dataclass(slots=True)
class Slot:
    """`plain`, `html`: parts that say the same in two forms; one may be missing."""

    plain: Leaf | None = None
    html: Leaf | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    attachments: tuple[Leaf, ...]
    slots: tuple[Slot, ...] = field(default=())


def chosen(leaves: Sequence[Leaf]) -> Chosen:
    slots: list[Slot] = []
    by_place: dict[str, Slot] = {}
    attachments: list[Leaf] = []
    for leaf in leaves:
        if not _is_text(leaf):
            attachments.append(leaf)
            continue
        form = "html" if leaf.subtype == "html" else "plain"
        place = _alternative(leaf)
        slot = None if place is None else by_place.get(place)
        if slot is None or getattr(slot, form) is not None:
            slot = Slot()
            slots.append(slot)
            if place is not None:
                by_place[place] = slot
        setattr(slot, form, leaf)
    return Chosen(tuple(attachments), tuple(slots))


def _is_text(leaf: Leaf) -> bool:
    return (
        leaf.type == "text" and leaf.subtype in ("plain", "html") and leaf.disposition != "attachment"
        and leaf.file_name is None
    )  # fmt: skip


def _alternative(leaf: Leaf) -> str | None:
    """The number of the outermost multipart/alternative that it stands in, "" for the message itself."""
    if "alternative" not in leaf.within:
        return None
    return ".".join(leaf.number.split(".")[: leaf.within.index("alternative")])

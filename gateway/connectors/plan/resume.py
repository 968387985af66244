"""What is written down before an operation that must not be done twice, and what came of COPYUID. Pure.

APPEND, COPY and MOVE have no answer that survives a lost connection. Before one starts, its row is committed as
started with the evidence below; whoever finds such a row looks first (what would the operation have left?) and does
it again only when it surely was not done (`push.appending`, `push.moving`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of the folder that an operation puts a message into: as it was before. `key`: an id of the server, if it has ids.
    `trash`: UIDVALIDITY and UIDNEXT of the account's Trash as we knew it then, where somebody may put the message.
    """

    folder: int
    uidvalidity: int
    uidnext: int
    message_id: str | None = None
    key: str | None = None
    trash: tuple[int, int] | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "folder": self.folder, "uidvalidity": self.uidvalidity, "uidnext": self.uidnext,
            "message_id": self.message_id, "key": self.key,
            "trash": None if self.trash is None else list(self.trash),
        }  # fmt: skip

    @classmethod
    def of_json(cls, value: Mapping[str, object]) -> Evidence:
        """What `as_json` gave; ValueError for anything else."""
        try:
            numbers = value["folder"], value["uidvalidity"], value["uidnext"]
            words = value["message_id"], value["key"]
        except KeyError as error:
            raise ValueError("evidence lacks a field") from error
        if not all(isinstance(one, int) for one in numbers) or not all(isinstance(one, str | None) for one in words):
            raise ValueError("evidence has a field of another type")
        match value.get("trash"):  # older rows have none
            case None:
                trash = None
            case [int(uidvalidity), int(uidnext)]:
                trash = (uidvalidity, uidnext)
            case _:
                raise ValueError("evidence has a Trash of another form")
        return cls(*numbers, *words, trash)  # type: ignore[arg-type]


def verified(
    pairs: Mapping[int, int], keys: Mapping[int, str | None], wanted: Mapping[int, str | None]
) -> dict[int, int]:
    """COPYUID's pairs as they really are. Yahoo permutes them: where both sides have ids, `keys` (of the new UIDs)
    against `wanted` (of the sources) decides; a source whose message is not among the new ones has no pair.
    """
    by_key: dict[str, list[int]] = {}
    for uid in sorted(pairs.values()):
        key = keys.get(uid)
        if key is not None:
            by_key.setdefault(key, []).append(uid)
    found = {}
    for source, target in pairs.items():
        key = wanted.get(source)
        if key is None or keys.get(target) is None:
            found[source] = target
        elif by_key.get(key):
            found[source] = by_key[key].pop(0)
    return found

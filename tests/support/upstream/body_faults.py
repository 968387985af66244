"""Faults of FETCH's bodies and of COPYUID. Each concerns one `uid`, or all of them with 0."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from tests.support.upstream.faults import Fault, Items
from tests.support.upstream.wire import Octets


class Raw(bytes):
    """A rendered value that goes out as it is, though it stands for a body."""


@dataclass(eq=False)
class BodyFault(Fault, ABC):
    """Changes what is said of bodies; other items stay."""

    command: str = "FETCH"
    uid: int = field(default=0, kw_only=True)

    def items(self, uid: int, items: Items) -> list[Items]:
        if self.uid not in (0, uid) or not any(isinstance(value, Octets) for _, value in items):
            return [items]
        self.reached.set()
        told = [(name, self.value(value) if isinstance(value, Octets) else value) for name, value in items]
        return [[(name, value) for name, value in told if value is not None]]

    @abstractmethod
    def value(self, body: Octets) -> bytes | None:
        """What stands for it; None: the item is left out."""


class NilBody(BodyFault):
    """BODY[] NIL."""

    def value(self, body: Octets) -> bytes:
        return Raw(b"NIL")


class EmptyBody(BodyFault):
    """BODY[] {0}."""

    def value(self, body: Octets) -> bytes:
        return Octets(b"")


@dataclass(eq=False)
class OtherBody(BodyFault):
    """Other octets than the message's: a server that renders mail anew each time."""

    octets: bytes = b"X-Regenerated: yes\r\n"

    def value(self, body: Octets) -> bytes:
        return Octets(self.octets + body)


@dataclass(eq=False)
class WrongLength(BodyFault):
    """The literal announces `by` octets more, or fewer, than come."""

    by: int = field(default=10, kw_only=True)

    def value(self, body: Octets) -> bytes:
        return Raw(b"{%d}\r\n" % max(0, len(body) + self.by) + body)


@dataclass(eq=False)
class Bomb(BodyFault):
    """A literal of 4 GiB is announced; the message's octets come, then it goes on with the rest of the answer."""

    size: int = field(default=4_294_967_295, kw_only=True)

    def value(self, body: Octets) -> bytes:
        return Raw(b"{%d}\r\n" % self.size + body)


class MissingBody(BodyFault):
    """The FETCH response has no BODY item at all."""

    def value(self, body: Octets) -> None:
        return None


@dataclass(eq=False)
class Unlisted(Fault):
    """No FETCH response for a message that is there; a whole FETCH with 0."""

    command: str = "FETCH"
    uid: int = field(default=0, kw_only=True)

    def items(self, uid: int, items: Items) -> list[Items]:
        if self.uid not in (0, uid):
            return [items]
        self.reached.set()
        return []


@dataclass(eq=False)
class Twice(Fault):
    """Each FETCH response comes two times."""

    command: str = "FETCH"

    def items(self, uid: int, items: Items) -> list[Items]:
        self.reached.set()
        return [items, items]


@dataclass(eq=False)
class NoUid(Fault):
    """FETCH responses to a UID FETCH without their UID."""

    command: str = "FETCH"

    def items(self, uid: int, items: Items) -> list[Items]:
        self.reached.set()
        return [[(name, value) for name, value in items if name != "UID"]]


@dataclass(eq=False)
class Backwards(Fault):
    """FETCH items in the opposite order: body first, UID last."""

    command: str = "FETCH"

    def items(self, uid: int, items: Items) -> list[Items]:
        self.reached.set()
        return [items[::-1]]


class PermutedCopyuid(Fault):
    """COPYUID names the new UIDs in the opposite order."""

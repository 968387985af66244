"""What others want of a session that listens, and why it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(slots=True)
class Requests:
    """What others want of a session; `asked` makes it look. `whole`: a sync of everything, not only of a `Scope`."""

    sync: bool = False
    whole: bool = False
    stop: bool = False
    push: bool = False
    event: asyncio.Event = field(default_factory=asyncio.Event)
    interrupt: Callable[[], None] | None = None

    def ask(self, *, sync: bool = False, stop: bool = False, push: bool = False, whole: bool = True) -> None:
        self.sync |= sync
        self.whole |= sync and whole
        self.stop |= stop
        self.push |= push
        self.event.set()
        if self.interrupt is not None:
            self.interrupt()


class Stopped(Enum):
    """Why a session no longer listens: it was asked to end, or for a sync."""

    ASKED = auto()
    SYNC = auto()

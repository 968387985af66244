"""Which message of Trash is the one whose append had no answer."""

from __future__ import annotations

import pytest

from gateway.connectors.push.binned import Binned, judged
from gateway.connectors.push.remote import Sought
from gateway.store.threads import id_hash
from gateway.upstream.values import FetchedMessage

NAMED = Sought(None, id_hash(b"d@x.test"), 1_000, 70)
NAMELESS = Sought(None, None, 1_000, 70)


def one(uid: int, name: str | None, date: int, size: int) -> FetchedMessage:
    header = b"" if name is None else f"Message-ID: <{name}>\r\n\r\n".encode()
    return FetchedMessage(uid, internal_date=date, size=size, header=header)


@pytest.mark.parametrize(
    ("some", "sought", "found"),
    [
        ([], NAMED, Binned.NOWHERE),
        ([one(7, "other@x.test", 1_000, 70)], NAMED, Binned.NOWHERE),
        ([one(7, "d@x.test", 1_000, 70)], NAMED, 7),
        ([one(7, "d@x.test", 1_000, 93)], NAMED, 7),  # written anew when it was moved
        ([one(7, "d@x.test", 900, 70)], NAMED, Binned.SOMEWHERE),  # written over before
        ([one(7, "d@x.test", 900, 70), one(8, "d@x.test", 1_000, 70)], NAMED, 8),
        ([], NAMELESS, Binned.NOWHERE),
        ([one(7, None, 1_000, 70)], NAMELESS, 7),
        ([one(7, None, 1_000, 93)], NAMELESS, Binned.SOMEWHERE),
        ([one(7, "other@x.test", 5, 5)], NAMELESS, Binned.SOMEWHERE),
    ],
)
def test_judged(some: list[FetchedMessage], sought: Sought, found: int | Binned) -> None:
    assert judged(some, sought) == found

"""Orders of messages by keys (RFC 5256 3 SORT). Pure: columns of keys in, positions out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from .pieces import in_order

Keys = tuple[Any, ...]
"""One message's keys in the order of the program."""


def ordered(columns: Sequence[Sequence[Any]], reverse: Sequence[bool], count: int) -> list[int]:
    """Positions 0 to `count` - 1 in the program's order; equal ones stay as they are.

    REVERSE turns its own key only: what is equal by all keys keeps the order of the mailbox.
    """
    positions = list(range(count))
    for column, backwards in reversed(list(zip(columns, reverse, strict=True))):
        positions = in_order(positions, column.__getitem__, backwards=backwards)
    return positions


def before(left: Keys, right: Keys, reverse: Sequence[bool]) -> bool:
    """Whether a message with the keys `left` stands before an earlier one with `right`: not if they are equal."""
    for a, b, backwards in zip(left, right, reverse, strict=True):
        if a != b:
            return bool((a > b) if backwards else (a < b))
    return False


def insert(order: array[int], uid: int, keys: Keys, reverse: Sequence[bool], keys_of: Callable[[int], Keys]) -> None:
    """Put a message that is newer than all others into an order; `keys_of` is asked for some twenty of a million."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if before(keys, keys_of(order[middle]), reverse):
            high = middle
        else:
            low = middle + 1
    order.insert(low, uid)

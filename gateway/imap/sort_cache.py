"""What SORT and THREAD have found out about a mailbox, kept beside its state: keys of messages never change."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Final

from gateway.wire.search import Algorithm, SortKey

MAX_ORDERS: Final = 4
"""Programs of a mailbox: the columns somebody clicks on."""
MAX_TOKENS: Final = 1_000_000
"""Numbers and parentheses of a tree that is kept: 8 MB."""

Program = tuple[SortKey, ...]


class SortCache:
    """Orders of all messages of one mailbox up to some UID, four octets a message each; trees of exactly its messages.

    Messages that have gone since stay in an order until it is made anew: whoever reads it passes over them.
    """

    __slots__ = ("_orders", "_trees", "keys_upto")

    def __init__(self) -> None:
        self._orders: OrderedDict[Program, tuple[array[int], int]] = OrderedDict()
        self._trees: dict[Algorithm, tuple[tuple[int, int], array[int]]] = {}
        self.keys_upto = 0
        """All messages up to this UID have their keys in the store."""

    @property
    def size_bytes(self) -> int:
        orders = sum(len(order) * order.itemsize for order, _ in self._orders.values())
        return orders + sum(len(tokens) * tokens.itemsize for _, tokens in self._trees.values())

    def order(self, program: Program) -> tuple[array[int], int] | None:
        """UIDs as `program` sorts them, and the last UID of the mailbox that is among them."""
        found = self._orders.get(program)
        if found is not None:
            self._orders.move_to_end(program)
        return found

    def keep_order(self, program: Program, order: array[int], last_uid: int) -> None:
        self._orders[program] = (order, last_uid)
        self._orders.move_to_end(program)
        while len(self._orders) > MAX_ORDERS:
            self._orders.popitem(last=False)

    def tree(self, algorithm: Algorithm, version: tuple[int, int]) -> array[int] | None:
        """The tree of all messages of a state's `version`: its generation and its last UID."""
        held = self._trees.get(algorithm)
        return held[1] if held is not None and held[0] == version else None

    def keep_tree(self, algorithm: Algorithm, version: tuple[int, int], tokens: array[int]) -> None:
        self._trees.pop(algorithm, None)
        if len(tokens) <= MAX_TOKENS:
            self._trees[algorithm] = (version, tokens)

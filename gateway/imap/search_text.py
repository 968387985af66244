"""Keys of SEARCH that ask for text, answered for one page of messages: stored text where there is any, else its octets.

Stored text is looked through by the database, thousands of messages a statement. A message whose text is still to be
made (`store.search_text`) is decoded here, once for all keys. Both compare the same octets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from gateway.ingest.search_text import folded_fields, folded_text
from gateway.mime import fold
from gateway.model.ids import ContentId
from gateway.store import content, search_text
from gateway.store.db import Rx
from gateway.store.search_text import INLINE, SEPARATOR, Weight
from gateway.wire import search as keys

from .settings import SEARCH_OCTETS

TextKey = keys.Header | keys.Body | keys.Text

_LATE_HEADER: Final = 96 * 1024
"""Octets of stored text that are looked through in the time that reading and folding one header takes …"""
_LATE_TEXT: Final = 320 * 1024
"""… and the parts of an ordinary message, and …"""
_LATE_OCTET: Final = 24
"""… each octet of a message."""
_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8
_NOWHERE: Final = SEPARATOR * 2
"""No fields hold it: two separators never follow each other there."""


def text_keys(key: keys.SearchKey) -> list[TextKey]:
    """The different ones of a criterion."""
    return list(dict.fromkeys(found for found in keys.walk(key) if isinstance(found, TextKey)))


def affordable(weights: Sequence[Weight], wanted: Sequence[TextKey]) -> int:
    """How many of `weights` a page may look through for all of `wanted`; the first always."""
    headers = sum(not isinstance(key, keys.Body) for key in wanted)
    texts = sum(not isinstance(key, keys.Header) for key in wanted)
    total = 0
    for at, each in enumerate(weights):
        if each.fields_size is None or each.text_size is None:
            total += _LATE_HEADER + (_LATE_TEXT + _LATE_OCTET * each.size if texts else 0)
        else:
            total += headers * each.fields_size + texts * each.text_size
        if total > SEARCH_OCTETS and at:
            return at
    return len(weights)


class Texts:
    """The answers of one page to `wanted`, found when first asked for: all messages of the page by one statement."""

    def __init__(self, rx: Rx, weights: Sequence[Weight], wanted: Sequence[TextKey]) -> None:
        self._rx = rx
        self._wanted = wanted
        self._contents = {each.uid: each.content_id for each in weights}
        self._stored = {each.content_id: each.text_size for each in weights if each.text_size is not None}
        self._late = {each.content_id for each in weights if each.text_size is None}
        self._answers: dict[TextKey, set[ContentId]] = {}
        self._late_answers: dict[TextKey, set[ContentId]] | None = None

    def __contains__(self, uid: int) -> bool:
        return uid in self._contents

    def hold(self, key: TextKey, uid: int) -> bool:
        """Whether the message has what `key` asks for."""
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._matching(key) | self._matching_late()[key]
        return self._contents[uid] in answer

    def narrow(self, uids: Collection[int]) -> None:
        """Nothing will be asked of any other message: those keys that nobody asked for yet look at these only."""
        contents = {self._contents[uid] for uid in uids}
        self._stored = {each: size for each, size in self._stored.items() if each in contents}
        self._late &= contents

    def _matching(self, key: TextKey) -> set[ContentId]:
        rx, stored = self._rx, list(self._stored)
        needle = fold(key.value)
        if isinstance(key, keys.Header):
            label = _label(key.name)
            if not needle:
                return search_text.in_fields(rx, stored, label)
            rows = search_text.fields_with(rx, stored, needle)
            return {each for each, fields in rows if _field(fields, label, needle)}
        if not needle:
            return set(stored)
        found = search_text.in_fields(rx, stored, needle) if isinstance(key, keys.Text) else set()
        left = [each for each in stored if each not in found] if found else stored
        found |= search_text.in_text(rx, left, needle)
        large = (each for each in left if self._stored[each] > INLINE)
        return found.union(each for each in large if search_text.in_large_text(rx, each, needle))

    def _matching_late(self) -> dict[TextKey, set[ContentId]]:
        """Messages without stored text, each decoded once for all keys and forgotten again."""
        if self._late_answers is not None:
            return self._late_answers
        self._late_answers = answers = {key: set[ContentId]() for key in self._wanted}
        folded = [(key, fold(key.value)) for key in self._wanted]
        with_text = any(not isinstance(key, keys.Header) for key in self._wanted)
        for each in self._late:
            fields = folded_fields(content.read_header(self._rx, each))
            text = folded_text(self._rx, each) if with_text else b""
            for key, needle in folded:
                if _holds(key, needle, fields, text):
                    answers[key].add(each)
        return answers


def _holds(key: TextKey, needle: bytes, fields: bytes, text: bytes) -> bool:
    if isinstance(key, keys.Header):
        return _field(fields, _label(key.name), needle)
    return needle in text or (isinstance(key, keys.Text) and needle in fields)


def _label(name: str) -> bytes:
    """What a field of that name begins with. `name` is in capitals; one that no field can have is nowhere."""
    return SEPARATOR + name.encode("ascii") + b": " if _FIELD_NAME.fullmatch(name) else _NOWHERE


def _field(fields: bytes, label: bytes, needle: bytes) -> bool:
    """Whether a field that begins with `label` holds `needle` behind it."""
    at = fields.find(label)
    while at >= 0:
        start = at + len(label)
        end = fields.index(SEPARATOR, start)
        if fields.find(needle, start, end) >= 0:
            return True
        at = fields.find(label, end)
    return False

"""Base subject of SORT and THREAD (RFC 5256 2.1 and 5), on decoded text. Linear in the subject's length."""

from __future__ import annotations

import re
from typing import Final

_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_BLOB: Final = re.compile(r"\[[^\[\]]*+\] *+")  # subj-blob
_REFWD: Final = re.compile(r"(?:re|fwd?) *+(?:\[[^\[\]]*+\] *+)?:", re.IGNORECASE | re.ASCII)  # subj-refwd
_FWD_HEADER: Final = "[fwd:"
_FWD_TRAILER: Final = "(fwd)"


def base_subject(subject: str) -> str:
    """The subject without reply and forward marks; case is kept (collation is the caller's)."""
    return _strip(subject)[0]


def is_reply_or_forward(subject: str) -> bool:
    """RFC 5256 3: a subj-refwd, a "(fwd)" trailer or a "[fwd: …]" was removed to get the base subject."""
    return _strip(subject)[1]


def _strip(subject: str) -> tuple[str, bool]:
    text = _BLANKS.sub(" ", subject)
    start, end = 0, len(text)
    marked = False
    while True:
        # (2) trailers
        while end > start:
            if text[end - 1] == " ":
                end -= 1
            elif text[end - 1] == ")" and text[max(start, end - 5) : end].lower() == _FWD_TRAILER:
                end -= 5
                marked = True
            else:
                break
        start, leaders = _without_prefix(text, start, end)
        marked = marked or leaders
        # (6) a forward in brackets
        if end - start >= 6 and text[end - 1] == "]" and text[start : start + 5].lower() == _FWD_HEADER:
            start += 5
            end -= 1
            marked = True
        else:
            return text[start:end], marked


def _without_prefix(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps (3) to (5): where the text begins after all leaders and blobs, and whether a reply mark was among them.

    A run of blobs is read once: with a subj-refwd behind it the run is part of a leader, else step (4) takes
    its blobs one by one and stops before the one that would leave nothing.
    """
    marked = False
    while True:
        while start < end and text[start] == " ":
            start += 1
        at = last_blob = start
        blob = _BLOB.match(text, at, end)
        while blob is not None:
            last_blob = at
            at = blob.end()
            blob = _BLOB.match(text, at, end)
        leader = _REFWD.match(text, at, end)
        if leader is not None:
            start = leader.end()
            marked = True
        else:
            return (at if at < end else last_blob), marked

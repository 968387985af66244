"""i;unicode-casemap (RFC 5051): the form in which SEARCH, SORT and THREAD compare text."""

from __future__ import annotations

import unicodedata
from typing import Final

_PIECE: Final = 65_536  # characters a call into C, which no other thread interrupts
_TABLE_LIMIT: Final = 50_000  # characters remembered; all scripts in common use fit, a hostile mail starts it anew


class _Casemap(dict[int, str]):
    """Code point -> its form, made on first use (`str.translate` asks `__missing__`)."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _TABLE_LIMIT:
            self.clear()
        # Step (2)(a) means the simple mapping of UnicodeData; Python also has special ones, of several characters
        # (ß -> Ss), which the RFC does not use. Step (2)(b): full compatibility decomposition.
        char = chr(code)
        title = char.title()
        form = unicodedata.normalize("NFKD", title if len(title) == 1 else char)
        self[code] = form
        return form


_CASEMAP: Final = _Casemap()


def fold(text: str) -> bytes:
    """UTF-8 of the titlecased, decomposed text: equality, order and substring are then those of octets."""
    if text.isascii():
        return text.upper().encode("ascii")
    if len(text) <= _PIECE:
        return text.translate(_CASEMAP).encode("utf-8", "replace")
    # Character by character all the same; one call for 10 MB would keep every other thread waiting for 0.4 s.
    return b"".join(
        text[at : at + _PIECE].translate(_CASEMAP).encode("utf-8", "replace") for at in range(0, len(text), _PIECE)
    )

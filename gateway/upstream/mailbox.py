"""What is known of the selected mailbox: every untagged response goes through here first, whatever command runs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gateway.model.sequence import Ranges, count

from .events import Code, Exists, Expunge, Flags, Response, Row, Status
from .fetched import flags_of
from .scanning import text_of
from .values import News, Selected

MAX_NEWS: Final = 20_000  # rows kept of what nobody asked for; beyond, only that there is news
MAX_ALERTS: Final = 20

_PERMANENT: Final = re.compile(rb"\((.*)\)\Z", re.DOTALL)


class Mailbox:
    """The selected mailbox, and the news of it. Without one, only alerts are kept."""

    __slots__ = ("_news", "_opening", "selected")

    def __init__(self) -> None:
        self.selected: Selected | None = None
        self._news: News | None = None
        self._opening: _Opening | None = None

    # Opening and closing.

    def open(self, raw: bytes, *, read_only: bool) -> None:
        """SELECT or EXAMINE is being sent: what is told from now on is of the new mailbox."""
        self.close()
        self._opening = _Opening(raw, read_only)

    def opened(self, code: Code | None) -> Selected:
        """Its OK has come, with `code`."""
        opening = self._opening
        assert opening is not None
        if code is not None and code.name in ("READ-ONLY", "READ-WRITE"):
            opening.read_only = code.name == "READ-ONLY"
        self._opening = None
        self.selected = opening.selected()
        return self.selected

    def close(self) -> None:
        self.selected = self._opening = None
        if self._news is not None:
            self._news = News(alerts=self._news.alerts) if self._news.alerts else None

    # News.

    @property
    def has_news(self) -> bool:
        return self._news is not None and bool(self._news)

    def take(self) -> News:
        news, self._news = self._news, None
        return news if news is not None else News()

    def _fresh(self) -> News:
        if self._news is None:
            self._news = News()
        return self._news

    def see(self, event: Response) -> None:
        """An untagged response that no command has claimed."""
        if isinstance(event, Exists):
            self._exists(event.count)
        elif isinstance(event, Row):
            if self.selected is not None and len(self._fresh().fetched) < MAX_NEWS:
                self._fresh().fetched.append(event.message)
        elif isinstance(event, Expunge):
            self._gone(1)
            if self.selected is not None:
                self._fresh().expunged += 1
        elif isinstance(event, Flags):
            if self._opening is not None:
                self._opening.flags = event.names
        elif isinstance(event, Status) and event.code is not None:
            self.see_code(event.code, event.text)

    def vanished(self, uids: Ranges) -> None:
        """VANISHED without EARLIER: they were in the mailbox until now."""
        self._gone(count(uids))
        if self.selected is None:
            return
        news = self._fresh()
        if len(news.vanished) < MAX_NEWS:
            news.vanished.extend(uids)
        news.expunged += min(count(uids), 2**32)

    def see_code(self, code: Code, text: str) -> None:
        """The code of any status response, tagged or not."""
        if code.name == "ALERT":
            self.alert(text)
        elif code.name == "CLOSED" and self._opening is not None:
            # RFC 7162 3.2.11: what came before was of the mailbox that was selected.
            self.open(self._opening.raw, read_only=self._opening.read_only)
        elif code.name == "HIGHESTMODSEQ" and self._opening is None and self.selected is not None:
            self.selected = replace(self.selected, highest_modseq=_number(code))
        elif self._opening is not None:
            self._opening.see(code)

    def alert(self, text: str) -> None:
        alerts = self._fresh().alerts
        if text and text not in alerts and len(alerts) < MAX_ALERTS:
            alerts.append(text)

    def _exists(self, exists: int) -> None:
        if self._opening is not None:
            self._opening.exists = exists
        elif self.selected is not None and exists != self.selected.exists:
            self.selected = replace(self.selected, exists=exists)
            self._fresh().exists = exists

    def _gone(self, number: int) -> None:
        if self._opening is not None:
            self._opening.exists = max(self._opening.exists - number, 0)
        elif self.selected is not None:
            self.selected = replace(self.selected, exists=max(self.selected.exists - number, 0))


def _number(code: Code) -> int | None:
    word = code.arguments.split(b" ")[0]
    return int(word) if word.isdigit() and len(word) < 20 else None


class _Opening:
    """What has been told since SELECT was sent."""

    __slots__ = (
        "exists", "flags", "mailbox_id", "modseq", "permanent", "raw", "read_only", "sticky", "uidnext", "validity"
    )  # fmt: skip

    def __init__(self, raw: bytes, read_only: bool) -> None:
        self.raw = raw
        self.read_only = read_only
        self.exists = 0
        self.flags: frozenset[str] = frozenset()
        self.permanent: frozenset[str] | None = None
        self.validity = 0
        self.uidnext: int | None = None
        self.modseq: int | None = None
        self.mailbox_id: str | None = None
        self.sticky = True

    def see(self, code: Code) -> None:
        if code.name == "UIDVALIDITY":
            self.validity = _number(code) or 0
        elif code.name == "UIDNEXT":
            self.uidnext = _number(code)
        elif code.name == "HIGHESTMODSEQ":
            self.modseq = _number(code) or None
        elif code.name == "NOMODSEQ":
            self.modseq = None
        elif code.name == "PERMANENTFLAGS":
            found = _PERMANENT.match(code.arguments)
            self.permanent = flags_of(found[1]) if found is not None else None
        elif code.name == "MAILBOXID":
            self.mailbox_id = text_of(code.arguments.strip(b"() ")[:255]) or None
        elif code.name == "UIDNOTSTICKY":
            self.sticky = False

    def selected(self) -> Selected:
        return Selected(
            self.raw, self.read_only, self.validity, self.exists, self.uidnext, self.modseq, self.flags, self.permanent,
            self.mailbox_id, not self.sticky,
        )  # fmt: skip

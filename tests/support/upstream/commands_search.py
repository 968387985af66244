"""SEARCH (RFC 9051 6.4.4) with ESEARCH, MODSEQ, PARTIAL and X-GM-* where they are offered."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from tests.support.upstream.commands_fetch import paged
from tests.support.upstream.grammar import Token, Wrong, canonical, date_time, numbers, string
from tests.support.upstream.mail import Place, ranges
from tests.support.upstream.parts import section, split
from tests.support.upstream.turn import Turn, handles

Test = Callable[[Place], bool]
_FLAGS = {name: f"\\{name.capitalize()}" for name in ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")}
DAY = 86_400


@handles("SEARCH,UID SEARCH", "s")
async def search(turn: Turn) -> None:
    returned = _options(turn)
    if turn.args and turn.args[0] == "CHARSET":
        turn.next()
        if string(turn.next()).upper() not in (b"UTF-8", b"US-ASCII"):
            turn.answer = "NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset"
            return
    reader = _Keys(turn)
    test = reader.all()
    found = [uid for uid in turn.view.uids if (placed := turn.view.place(uid)) is not None and test(placed)]
    if turn.uid and not (returned and "PARTIAL" in returned):
        found = turn.limited(found)
    shown = found if turn.uid else [turn.view.number(uid) for uid in found]
    highest = max((turn.view.mailbox.places[uid].modseq for uid in found), default=0) if reader.modseq else 0
    if returned is None:
        modseq = f" (MODSEQ {highest})" if highest else ""
        turn.say(" ".join(["SEARCH", *map(str, shown)]) + modseq)
        return
    told = [f'ESEARCH (TAG "{turn.command.tag}")'] + (["UID"] if turn.uid else [])
    for option, value in returned.items():
        if option == "COUNT":
            told.append(f"COUNT {len(shown)}")
        elif option == "PARTIAL":
            told.append(f"PARTIAL ({value} {ranges(paged(shown, value)) or 'NIL'})")
        elif shown:
            told.append({"MIN": f"MIN {shown[0]}", "MAX": f"MAX {shown[-1]}", "ALL": f"ALL {ranges(shown)}"}[option])
    turn.say(" ".join(told) + (f" MODSEQ {highest}" if highest else ""))


def _options(turn: Turn) -> dict[str, str] | None:
    """RETURN's options with their values; None without RETURN."""
    if not turn.args or str(turn.args[0]).upper() != "RETURN":
        return None
    turn.needs("ESEARCH", "SEARCH RETURN")
    turn.next()
    words = list(turn.next())
    options: dict[str, str] = {}
    while words:
        word = str(words.pop(0)).upper()
        if word not in ("MIN", "MAX", "ALL", "COUNT", "PARTIAL"):
            raise Wrong(f"RETURN has no {word}")
        if word == "PARTIAL":
            turn.needs("PARTIAL", "PARTIAL")
        options[word] = str(words.pop(0)) if word == "PARTIAL" else ""
    return options or {"ALL": ""}


class _Keys:
    """Search keys, read one after another."""

    def __init__(self, turn: Turn, tokens: list[Token] | None = None) -> None:
        self.turn, self.tokens, self.modseq = turn, turn.args if tokens is None else tokens, False

    def all(self) -> Test:
        tests = []
        while self.tokens:
            tests.append(self.one())
        if not tests:
            raise Wrong("a search key is missing")
        return lambda placed: all(test(placed) for test in tests)

    def text(self) -> str:
        if not self.tokens:
            raise Wrong("a search key's argument is missing")
        return string(self.tokens.pop(0)).decode("utf-8", "replace")

    def one(self) -> Test:
        if not self.tokens:
            raise Wrong("a search key is missing")
        token = self.tokens.pop(0)
        if isinstance(token, list):
            inner = _Keys(self.turn, list(token))
            test = inner.all()
            self.modseq = self.modseq or inner.modseq
            return test
        if not isinstance(token, str):
            raise Wrong("a search key is an atom")
        word = token.upper()
        if word in self.turn.session.quirks.search_lacks:
            raise Wrong(f"SEARCH has no {word} here")
        if re.fullmatch(r"[\d*:,]+", word):
            return self._numbers(word)
        return self._simple(word) or self._dated(word) or self._said(word) or self._special(word)

    def _numbers(self, text: str) -> Test:
        view = self.turn.view
        chosen = set(view.by_uid([(view.uids[low - 1], view.uids[min(high, len(view.uids)) - 1])
                                  for low, high in numbers(text, lambda: tuple(range(1, len(view.uids) + 1)))
                                  if 1 <= low <= len(view.uids)]))
        return lambda placed: placed.uid in chosen

    def _simple(self, word: str) -> Test | None:
        if word == "ALL":
            return lambda placed: True
        if word in _FLAGS:
            return lambda placed: _FLAGS[word] in placed.mail.flags
        if word.startswith("UN") and word[2:] in _FLAGS:
            return lambda placed: _FLAGS[word[2:]] not in placed.mail.flags
        if word in ("KEYWORD", "UNKEYWORD"):
            flag = canonical(self.text())
            return lambda placed: (flag in placed.mail.flags) == (word == "KEYWORD")
        if word in ("NEW", "RECENT"):
            return lambda placed: False
        if word == "OLD":
            return lambda placed: True
        if word == "NOT":
            test = self.one()
            return lambda placed: not test(placed)
        if word == "OR":
            one, other = self.one(), self.one()
            return lambda placed: one(placed) or other(placed)
        return None

    def _dated(self, word: str) -> Test | None:
        if word in ("SINCE", "BEFORE", "ON", "SENTSINCE", "SENTBEFORE", "SENTON"):
            day = date_time(self.text()) // DAY
            kind = word.removeprefix("SENT")
            compare = {"SINCE": operator.ge, "BEFORE": operator.lt, "ON": operator.eq}[kind]
            return lambda placed: bool(compare(placed.mail.internal_date // DAY, day))
        if word in ("LARGER", "SMALLER"):
            size = int(self.text())
            if word == "LARGER":
                return lambda placed: len(placed.mail.octets) > size
            return lambda placed: len(placed.mail.octets) < size
        return None

    def _said(self, word: str) -> Test | None:
        if word == "HEADER":
            name, text = self.text(), self.text().lower()
            return lambda placed: _in_field(placed, name, text)
        if word in ("FROM", "TO", "CC", "BCC", "SUBJECT"):
            text = self.text().lower()
            return lambda placed: _in_field(placed, word, text)
        if word in ("BODY", "TEXT"):
            octets = self.text().lower().encode()
            if word == "TEXT":
                return lambda placed: octets in placed.mail.octets.lower()
            return lambda placed: octets in split(placed.mail.octets)[1].lower()
        return None

    def _special(self, word: str) -> Test:
        if word == "UID":
            view = self.turn.view
            chosen = set(view.by_uid(numbers(self.text(), lambda: view.uids)))
            return lambda placed: placed.uid in chosen
        if word == "MODSEQ":
            self.turn.needs("CONDSTORE", "SEARCH MODSEQ")
            self.turn.session.condstore = self.modseq = True
            modseq = int(self.text())
            return lambda placed: placed.modseq >= modseq
        if word in ("EMAILID", "THREADID"):
            self.turn.needs("OBJECTID", f"SEARCH {word}")
            identifier = self.text()
            return lambda placed: identifier == (placed.mail.email_id if word == "EMAILID" else placed.mail.thread_id)
        if word in ("X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"):
            self.turn.needs("X-GM-EXT-1", f"SEARCH {word}")
            text = self.text()
            if word == "X-GM-LABELS":
                return lambda placed: text.lower() in {label.lower() for label in placed.mail.labels}
            return lambda placed: text == str(placed.mail.gm_msgid if word == "X-GM-MSGID" else placed.mail.gm_thrid)
        raise Wrong(f"SEARCH has no {word}")


def _in_field(placed: Place, name: str, text: str) -> bool:
    fields = section(placed.mail.octets, f"HEADER.FIELDS ({name})") or b""
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", fields).decode("utf-8", "replace").lower()
    return any(text in line.partition(":")[2] for line in unfolded.split("\r\n") if line)

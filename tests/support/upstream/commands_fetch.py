"""FETCH: attributes and octets of messages, with CHANGEDSINCE, VANISHED (RFC 7162) and PARTIAL (RFC 9394)."""

from __future__ import annotations

import re

from tests.support.upstream.faults import Items
from tests.support.upstream.gmail import GmailAccount
from tests.support.upstream.grammar import Token, Wrong, listed, numbers, quoted, shown_date
from tests.support.upstream.mail import Place, ranges
from tests.support.upstream.parts import body_structure, envelope, section
from tests.support.upstream.turn import Turn, handles
from tests.support.upstream.wire import Octets

_BODY = re.compile(r"BODY(\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?\Z", re.IGNORECASE)
_FAST = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]
_MACROS = {"FAST": _FAST, "ALL": [*_FAST, "ENVELOPE"]}
_OBJECTS = {"EMAILID", "THREADID"}
_GMAIL = {"X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"}


@handles("FETCH,UID FETCH", "s")
async def fetch(turn: Turn) -> None:
    asked, wanted = turn.next("a sequence set"), turn.next("data items")
    names = _names(wanted)
    modifiers = turn.next() if turn.args else []
    turn.no_more()
    if not isinstance(modifiers, list):
        raise Wrong("modifiers stand in parentheses")
    since, vanished, partial = _modifiers(turn, list(modifiers))
    _check(turn, names)
    if since is not None and "MODSEQ" not in names:
        names.append("MODSEQ")
    if turn.uid and "UID" not in names:
        names.insert(0, "UID")
    uids = turn.uids(asked)
    if vanished:
        _say_vanished(turn, str(asked), since or 0)
    if since is not None:
        uids = [uid for uid in uids if (placed := turn.view.place(uid)) is not None and placed.modseq > since]
    if partial is not None:
        uids = paged(uids, partial)
    seen = any(name in ("RFC822", "RFC822.TEXT") or (_BODY.match(name) and not _BODY.match(name)[1])  # type: ignore[index]
               for name in names)
    for uid in turn.limited(uids):
        await _tell(turn, uid, names, sets_seen=seen and not turn.view.read_only)


def paged(uids: list[int], page: str) -> list[int]:
    """PARTIAL 1:100 from the lowest UID on, -1:-100 from the highest."""
    low, high = (int(part) for part in page.split(":"))
    if low < 0:
        low, high = sorted((abs(low), abs(high)))
        return uids[max(0, len(uids) - high) : len(uids) - low + 1]
    low, high = sorted((low, high))
    return uids[low - 1 : high]


def _names(token: Token) -> list[str]:
    """Data items, in capitals; header fields' names too."""
    items = token if isinstance(token, list) else [token]
    if not all(isinstance(item, str) for item in items):
        raise Wrong("data items are atoms")
    names: list[str] = []
    for item in items:
        names += _MACROS.get(item.upper(), [item.upper()])
    return names


def _modifiers(turn: Turn, words: list[Token]) -> tuple[int | None, bool, str | None]:
    since, vanished, partial = None, False, None
    while words:
        word = str(words.pop(0)).upper()
        if word == "CHANGEDSINCE":
            turn.needs("CONDSTORE", "CHANGEDSINCE")
            since = int(words.pop(0))
            turn.session.condstore = True
        elif word == "VANISHED":
            turn.needs("QRESYNC", "VANISHED")
            if "QRESYNC" not in turn.session.enabled or not turn.uid:
                raise Wrong("VANISHED is of UID FETCH, with QRESYNC enabled")
            vanished = True
        elif word == "PARTIAL":
            turn.needs("PARTIAL", "PARTIAL")
            partial = str(words.pop(0))
        else:
            raise Wrong(f"FETCH has no modifier {word}")
    if vanished and since is None:
        raise Wrong("VANISHED comes with CHANGEDSINCE")
    return since, vanished, partial


def _check(turn: Turn, names: list[str]) -> None:
    for name in names:
        if name == "MODSEQ":
            turn.needs("CONDSTORE", "MODSEQ")
            turn.session.condstore = True
        elif name in _OBJECTS:
            turn.needs("OBJECTID", name)
        elif name in _GMAIL:
            turn.needs("X-GM-EXT-1", name)
        elif name not in ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "RFC822", "RFC822.HEADER", "RFC822.TEXT",
                          "ENVELOPE", "BODYSTRUCTURE") and not _BODY.match(name):
            raise Wrong(f"FETCH has no {name}")


def _say_vanished(turn: Turn, asked: str, since: int) -> None:
    box, quirk = turn.view.mailbox, turn.session.quirks.vanished
    top = turn.view.uids[-1] if turn.view.uids else 0
    last = top if quirk == "clipped" else max(top, box.uidnext - 1)
    pairs = numbers(asked, lambda: (last,))
    gone = [uid for uid in box.vanished_since(since) if any(low <= uid <= high for low, high in pairs)]
    if quirk == "malformed":
        turn.say(f"VANISHED EARLIER {ranges({*gone, *turn.view.uids}) or '0'}")
    elif gone:
        turn.say(f"VANISHED (EARLIER) {ranges(gone)}")


async def tell_flags(turn: Turn, placed: Place, *, with_uid: bool) -> None:
    """A FETCH response with what STORE and QRESYNC tell."""
    names = ["UID", "FLAGS"] if with_uid else ["FLAGS"]
    if turn.session.condstore and turn.session.has("CONDSTORE"):
        names.append("MODSEQ")
    await _tell(turn, placed.uid, names, sets_seen=False)


async def _tell(turn: Turn, uid: int, names: list[str], *, sets_seen: bool) -> None:
    placed = turn.view.place(uid)
    if placed is None or not placed.mail.fetchable:
        return
    if sets_seen and "\\Seen" not in placed.mail.flags:
        placed.mail.flags.add("\\Seen")
        turn.account.touched(placed.mail)
        turn.account.notify()
        turn.view.told[uid] = placed.tick
        if "FLAGS" not in names:
            names = [*names, "FLAGS"]
    items: Items = []
    for name in names:
        if not (name == "UID" and "UIDONLY" in turn.session.enabled):
            items += _item(turn, placed, name)
    await turn.fetched(turn.view.number(uid), uid, items)


def _item(turn: Turn, placed: Place, name: str) -> Items:
    mail, quirks = placed.mail, turn.session.quirks
    body = _BODY.match(name)
    if body:
        octets = section(mail.octets, body[2])
        shown = f"BODY[{body[2]}]"
        if body[3]:
            start, count = int(body[3]), int(body[4])
            shown, octets = f"{shown}<{start}>", octets and octets[start : start + count]
        return [(shown, b"NIL" if octets is None else Octets(octets))]
    if name in ("RFC822", "RFC822.HEADER", "RFC822.TEXT"):
        if quirks.rfc822_yields_nothing:
            return []
        return [(name, Octets(section(mail.octets, name[7:]) or b""))]
    if name == "X-GM-LABELS":
        assert isinstance(turn.account, GmailAccount)
        return [(name, b"(" + b" ".join(_label(label) for label in sorted(turn.account.labels_seen(placed))) + b")")]
    size = len(mail.octets) + quirks.size_differs if mail.size is None else mail.size
    simple = {
        "UID": lambda: str(placed.uid), "FLAGS": lambda: listed(sorted(mail.flags)),
        "INTERNALDATE": lambda: f'"{shown_date(mail.internal_date)}"', "RFC822.SIZE": lambda: str(size),
        "MODSEQ": lambda: f"({placed.modseq})", "EMAILID": lambda: f"({mail.email_id})",
        "THREADID": lambda: f"({mail.thread_id})", "X-GM-MSGID": lambda: str(mail.gm_msgid),
        "X-GM-THRID": lambda: str(mail.gm_thrid),
    }
    if name in simple:
        return [(name, simple[name]().encode())]
    return [(name, envelope(mail.octets) if name == "ENVELOPE" else body_structure(mail.octets))]


def _label(label: str) -> bytes:
    """Gmail quotes system labels and what is no atom."""
    octets = label.encode("utf-8")
    return octets if re.fullmatch(rb"[\w.+-]+", octets) else quoted(octets)



"""Commands on mailboxes: LIST and its relatives, STATUS, SELECT, CREATE, RENAME, DELETE, NAMESPACE."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.support.upstream.commands_fetch import tell_flags
from tests.support.upstream.grammar import Token, Wrong, from_utf7, listed, numbers, quoted, string, utf7
from tests.support.upstream.mail import Mailbox, ranges
from tests.support.upstream.turn import No, Turn, handles
from tests.support.upstream.view import View

FLAGS = "\\Answered \\Flagged \\Draft \\Deleted \\Seen"
ROLES = {"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash"}


def raw_name(turn: Turn, token: Token) -> str:
    """A mailbox argument as the model spells it."""
    octets = string(token)
    if turn.session.utf8:
        return utf7(octets.decode("utf-8"))
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise Wrong("a mailbox name is modified UTF-7") from error


def shown_name(turn: Turn, raw: str) -> bytes:
    return quoted(from_utf7(raw).encode() if turn.session.utf8 else raw.encode("utf-8"))


def mailbox(turn: Turn, token: Token) -> Mailbox:
    """NO [NONEXISTENT] if there is none."""
    raw = raw_name(turn, token)
    try:
        return turn.account.mailbox(raw)
    except KeyError:
        raise No(f"[NONEXISTENT] Mailbox doesn't exist: {raw}") from None


@handles("LIST", "as")
async def list_(turn: Turn) -> None:
    """RFC 3501; LIST-EXTENDED (RFC 5258), SPECIAL-USE (RFC 6154) and LIST-STATUS (RFC 5819) where they are offered."""
    chosen: set[str] = set()
    if isinstance(turn.args[0] if turn.args else None, list):
        turn.needs("LIST-EXTENDED", "LIST with options")
        chosen = {str(word).upper() for word in turn.next()}
    reference, pattern = raw_name(turn, turn.next()), turn.next()
    patterns = [raw_name(turn, one) for one in pattern] if isinstance(pattern, list) else [raw_name(turn, pattern)]
    status, wanted = _returned(turn)
    if "SPECIAL-USE" in chosen | wanted:
        turn.needs("SPECIAL-USE", "SPECIAL-USE")
    delimiter = turn.account.delimiter
    if patterns == [""]:
        turn.say(f'LIST (\\Noselect) "{delimiter}" ""')
        return
    for box in _matching(turn, [reference + one for one in patterns]):
        if "SUBSCRIBED" in chosen and not box.subscribed:
            continue
        roles = [word for word in box.attributes if word in ROLES]
        if "SPECIAL-USE" in chosen and not roles:
            continue
        shown = turn.session.quirks.attributes_always or "SPECIAL-USE" in wanted | chosen
        words = [word for word in box.attributes if shown or word not in ROLES]
        words += _children(turn, box)
        if box.subscribed and "SUBSCRIBED" in wanted | chosen:
            words.append("\\Subscribed")
        line = b"LIST " + listed(words).encode() + f' "{delimiter}" '.encode() + shown_name(turn, box.raw)
        turn.say(line)
        if turn.session.quirks.duplicate_list:
            turn.say(line)
        if status and box.selectable:
            _say_status(turn, box, status)


def _returned(turn: Turn) -> tuple[list[str], set[str]]:
    """(items of STATUS, the other return options)."""
    if not turn.args:
        return [], set()
    if turn.next() != "RETURN":
        raise Wrong("RETURN was expected")
    turn.needs("LIST-EXTENDED", "LIST … RETURN")
    options, status, words = turn.next(), [], set()
    turn.no_more()
    while options:
        word = str(options.pop(0)).upper()
        words.add(word)
        if word == "STATUS":
            turn.needs("LIST-STATUS", "RETURN (STATUS …)")
            status = _status_items(turn, options.pop(0) if options else [])
    return status, words


@handles("XLIST", "as", "XLIST")
async def xlist(turn: Turn) -> None:
    """LIST with roles, as Gmail had it before RFC 6154."""
    reference, pattern = raw_name(turn, turn.next()), raw_name(turn, turn.next())
    for box in _matching(turn, [reference + pattern]):
        words = [*box.attributes, *(["\\Inbox"] if box.raw.upper() == "INBOX" else [])]
        turn.say(f'XLIST {listed(words)} "{turn.account.delimiter}" '.encode() + shown_name(turn, box.raw))


@handles("LSUB", "as")
async def lsub(turn: Turn) -> None:
    reference, pattern = raw_name(turn, turn.next()), raw_name(turn, turn.next())
    for box in _matching(turn, [reference + pattern]):
        if box.subscribed:
            words = listed(word for word in box.attributes if word not in ROLES)
            turn.say(f'LSUB {words} "{turn.account.delimiter}" '.encode() + shown_name(turn, box.raw))


def _matching(turn: Turn, patterns: Iterable[str]) -> list[Mailbox]:
    level = f"[^{re.escape(turn.account.delimiter)}]*"
    looked = [
        re.compile("".join(".*" if part == "*" else level if part == "%" else re.escape(part)
                           for part in re.split(r"([*%])", pattern)) + r"\Z", re.DOTALL)
        for pattern in patterns
    ]
    return [box for raw, box in sorted(turn.account.mailboxes.items())
            if any(one.match(raw) or (raw.upper() == "INBOX" and one.match("INBOX")) for one in looked)]


def _children(turn: Turn, box: Mailbox) -> list[str]:
    if not turn.session.has("CHILDREN"):
        return []
    below = box.raw + turn.account.delimiter
    return ["\\HasChildren" if any(raw.startswith(below) for raw in turn.account.mailboxes) else "\\HasNoChildren"]


@handles("NAMESPACE", "as", "NAMESPACE")
async def namespace(turn: Turn) -> None:
    turn.no_more()
    turn.say(f'NAMESPACE (("{turn.session.personality.prefix}" "{turn.account.delimiter}")) NIL NIL')


@handles("STATUS", "as")
async def status(turn: Turn) -> None:
    box = mailbox(turn, turn.next())
    items = _status_items(turn, turn.next())
    turn.no_more()
    if not box.selectable:
        raise No("[CANNOT] It is not selectable")
    if turn.session.view and turn.session.view.mailbox is box:
        turn.session.server.broken("STATUS of the selected mailbox (RFC 3501 6.3.10)")
    _say_status(turn, box, items)


def _status_items(turn: Turn, token: Token) -> list[str]:
    items = [str(word).upper() for word in token]
    needed = {"HIGHESTMODSEQ": "CONDSTORE", "MAILBOXID": "OBJECTID", "SIZE": "STATUS=SIZE", "DELETED": "IMAP4rev2"}
    for item in items:
        if item in needed:
            turn.needs(needed[item], f"STATUS {item}")
        elif item not in ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "RECENT"):
            raise Wrong(f"STATUS has no {item}")
    turn.session.condstore = turn.session.condstore or "HIGHESTMODSEQ" in items
    return items


def _say_status(turn: Turn, box: Mailbox, items: list[str]) -> None:
    places, quirks = box.places.values(), turn.session.quirks
    cap = quirks.visible if quirks.visible_in_status else 0
    values = {
        "MESSAGES": min(len(places), cap or len(places)),
        "UIDNEXT": box.uidnext, "UIDVALIDITY": box.uidvalidity, "RECENT": 0,
        "HIGHESTMODSEQ": box.highest_modseq, "MAILBOXID": f"({box.mailbox_id})",
    }
    if "UNSEEN" in items:
        values["UNSEEN"] = sum("\\Seen" not in placed.mail.flags for placed in places)
    if "SIZE" in items:
        values["SIZE"] = sum(len(placed.mail.octets) for placed in places)
    if "DELETED" in items:
        values["DELETED"] = sum("\\Deleted" in placed.mail.flags for placed in places)
    told = [f"{item} {values[item]}" for item in items if item not in quirks.status_omits]
    turn.say(b"STATUS " + shown_name(turn, box.raw) + b" " + listed(told).encode())


@handles("SELECT,EXAMINE", "as")
async def select(turn: Turn) -> None:
    """With (CONDSTORE) or (QRESYNC (…)) of RFC 7162."""
    session = turn.session
    if session.view is not None:
        session.view = None
        if "QRESYNC" in session.enabled:
            turn.say("OK [CLOSED] Previous mailbox closed")
    box = mailbox(turn, turn.next())
    options = turn.next() if turn.args else []
    turn.no_more()
    if session.quirks.id_before_select and not session.identified:
        raise No("SELECT Unsafe Login. Please contact kefu@188.com for help")
    if not box.selectable or box.refuses_select:
        raise No(box.refuses_select or "[NONEXISTENT] Mailbox is not selectable")
    resync = _select_options(turn, options)
    quirks = session.quirks
    read_only = turn.command.name == "EXAMINE"
    visible = 0 if "UIDONLY" in session.enabled else quirks.visible
    view = session.view = View.of(box, read_only=read_only, visible=visible)
    keywords = {flag for placed in box.places.values() for flag in placed.mail.flags if not flag.startswith("\\")}
    shown = listed([FLAGS, *sorted(keywords)])
    turn.say(f"FLAGS {shown}")
    turn.say(f"{len(view.uids)} EXISTS")
    turn.say("0 RECENT")
    turn.say(f"OK [UIDVALIDITY {box.uidvalidity}] UIDs valid")
    if "UIDNEXT" not in quirks.select_omits:
        turn.say(f"OK [UIDNEXT {box.uidnext}] Predicted next UID")
    if "PERMANENTFLAGS" not in quirks.select_omits:
        permanent = "()" if read_only else shown[:-1] + " \\*)"
        turn.say(f"OK [PERMANENTFLAGS {permanent}] Flags permitted")
    if session.has("CONDSTORE"):
        turn.say(f"OK [HIGHESTMODSEQ {box.highest_modseq}] Highest")
    if session.has("OBJECTID"):
        turn.say(f"OK [MAILBOXID ({box.mailbox_id})] Ok")
    if resync is not None:
        await _resynced(turn, box, resync)
    turn.answer = f"OK [{'READ-ONLY' if read_only else 'READ-WRITE'}] {turn.command.name} completed"


def _select_options(turn: Turn, options: list[Token]) -> list[Token] | None:
    """QRESYNC's parameters."""
    options = list(options)
    while options:
        word = str(options.pop(0)).upper()
        turn.needs(word, f"SELECT ({word})")
        turn.session.condstore = True
        if word == "QRESYNC":
            if "QRESYNC" not in turn.session.enabled:
                raise Wrong("QRESYNC is not enabled")
            return list(options.pop(0))
        if word != "CONDSTORE":
            raise Wrong(f"SELECT has no {word}")
    return None


async def _resynced(turn: Turn, box: Mailbox, parameters: list[Token]) -> None:
    uidvalidity, modseq = int(parameters[0]), int(parameters[1])
    known = next((one for one in parameters[2:] if isinstance(one, str)), None)
    if uidvalidity != box.uidvalidity:
        return
    asked = numbers(known, lambda: (box.uidnext - 1,)) if known else [(1, box.uidnext - 1)]
    gone = [uid for uid in box.vanished_since(modseq) if any(low <= uid <= high for low, high in asked)]
    say_vanished(turn, gone)
    # With known UIDs nothing newer than the last of them is told, as Dovecot does it.
    for uid in turn.view.by_uid(asked):
        placed = box.places[uid]
        if placed.modseq > modseq:
            await tell_flags(turn, placed, with_uid=True)


def say_vanished(turn: Turn, gone: list[int]) -> None:
    if turn.session.quirks.vanished == "malformed":
        turn.say(f"VANISHED EARLIER {ranges({*gone, *turn.view.uids}) or '0'}")
    elif gone:
        turn.say(f"VANISHED (EARLIER) {ranges(gone)}")


@handles("UNSELECT", "s", "UNSELECT")
async def unselect(turn: Turn) -> None:
    turn.no_more()
    turn.session.view = None


@handles("CREATE", "as")
async def create(turn: Turn) -> None:
    raw = raw_name(turn, turn.next()).removesuffix(turn.account.delimiter)
    prefix = turn.session.personality.prefix
    if not raw.startswith(prefix):
        raise No(f"[CANNOT] Invalid mailbox name: it starts with {prefix}")
    try:
        made = turn.account.create(raw)
    except ValueError:
        raise No("[ALREADYEXISTS] Mailbox already exists") from None
    made.subscribed = False
    code = f"[MAILBOXID ({made.mailbox_id})] " if turn.session.has("OBJECTID") else ""
    turn.answer = f"OK {code}CREATE completed"


@handles("DELETE", "as")
async def delete(turn: Turn) -> None:
    box = mailbox(turn, turn.next())
    turn.no_more()
    if box.raw.upper() == "INBOX" or (turn.session.personality.gmail and box.attributes):
        raise No("[CANNOT] It cannot be deleted")
    if turn.session.view and turn.session.view.mailbox is box:
        turn.session.view = None
    turn.account.delete(box.raw)


@handles("RENAME", "as")
async def rename(turn: Turn) -> None:
    box, to = mailbox(turn, turn.next()), raw_name(turn, turn.next())
    turn.no_more()
    gmail = turn.session.personality.gmail
    if (
        box.raw.upper() == "INBOX" or not to.startswith(turn.session.personality.prefix)
        or (gmail and (box.attributes or to.startswith("[Gmail]")))
    ):  # fmt: skip
        raise No("[CANNOT] It cannot be renamed so")
    if to in turn.account.mailboxes:
        raise No("[ALREADYEXISTS] Mailbox already exists")
    turn.account.rename(box.raw, to)


@handles("SUBSCRIBE,UNSUBSCRIBE", "as")
async def subscribe(turn: Turn) -> None:
    mailbox(turn, turn.next()).subscribed = turn.command.name == "SUBSCRIBE"
    turn.no_more()

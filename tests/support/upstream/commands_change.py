"""Commands that change mail: STORE, COPY, MOVE, EXPUNGE, CLOSE, APPEND."""

from __future__ import annotations

from tests.support.upstream.body_faults import PermutedCopyuid
from tests.support.upstream.commands_fetch import tell_flags
from tests.support.upstream.commands_mailbox import mailbox
from tests.support.upstream.gmail import GmailAccount
from tests.support.upstream.grammar import Wrong, date_time, flags, from_utf7, string
from tests.support.upstream.mail import Mailbox, Place, ranges
from tests.support.upstream.turn import No, Turn, handles


def _writable(turn: Turn) -> None:
    if turn.view.read_only:
        turn.session.server.broken(f"{turn.command.name} in a mailbox that is read only")
        raise No("[READ-ONLY] Mailbox is read-only")


@handles("STORE,UID STORE", "s")
async def store(turn: Turn) -> None:
    """With UNCHANGEDSINCE (RFC 7162 3.1.3); X-GM-LABELS for Gmail."""
    asked = turn.next("a sequence set")
    since = None
    if isinstance(turn.args[0] if turn.args else None, list):
        turn.needs("CONDSTORE", "UNCHANGEDSINCE")
        word, since = turn.next()
        if str(word).upper() != "UNCHANGEDSINCE":
            raise Wrong(f"STORE has no modifier {word}")
        turn.session.condstore = True
    item = str(turn.next("an item")).upper()
    sign, name, silent = item[0] if item[0] in "+-" else "", item.lstrip("+-"), item.endswith(".SILENT")
    name = name.removesuffix(".SILENT")
    if name == "X-GM-LABELS":
        turn.needs("X-GM-EXT-1", name)
        decoded = [string(one).decode() for one in _all(turn)]
        values = {one if turn.session.utf8 else from_utf7(one) for one in decoded}
    elif name == "FLAGS":
        values = set(flags(turn.next("flags") if len(turn.args) == 1 else [turn.next() for _ in list(turn.args)]))
    else:
        raise Wrong(f"STORE has no {name}")
    _writable(turn)
    if "\\Recent" in values:
        raise Wrong("\\Recent cannot be stored")
    modified = []
    for uid in turn.limited(turn.uids(asked)):
        placed = turn.view.place(uid)
        if placed is None:
            continue
        if since is not None and placed.modseq > int(since):
            modified.append(uid if turn.uid else turn.view.number(uid))
            continue
        if name == "FLAGS":
            _store_flags(turn, placed, sign, values)
        else:
            assert isinstance(turn.account, GmailAccount), "who has no labels does not offer X-GM-EXT-1"
            old = placed.mail.labels
            turn.account.store_labels(placed, old | values if sign == "+" else old - values if sign == "-" else values)
        turn.view.told[uid] = placed.tick
        if turn.view.place(uid) is not None and (not silent or since is not None):
            await _told(turn, placed, silent=silent)
    turn.account.notify()
    if modified:
        turn.answer = f"OK [MODIFIED {ranges(modified)}] Conditional STORE failed"


def _all(turn: Turn) -> list[str | bytes]:
    token = turn.next("labels")
    return list(token) if isinstance(token, list) else [token]


def _store_flags(turn: Turn, placed: Place, sign: str, values: set[str]) -> None:
    old = placed.mail.flags
    new = old | values if sign == "+" else old - values if sign == "-" else values
    if new != old:
        placed.mail.flags = set(new)
        turn.account.touched(placed.mail)


async def _told(turn: Turn, placed: Place, *, silent: bool) -> None:
    """.SILENT with UNCHANGEDSINCE: the MODSEQ alone."""
    if not silent:
        await tell_flags(turn, placed, with_uid=turn.uid)
    else:
        number = turn.view.number(placed.uid)
        items = [("MODSEQ", f"({placed.modseq})".encode())]
        await turn.fetched(number, placed.uid, [("UID", b"%d" % placed.uid), *items] if turn.uid else items)


@handles("COPY,UID COPY", "s")
async def copy(turn: Turn) -> None:
    await _carry(turn, moves=False)


@handles("MOVE,UID MOVE", "s", "MOVE")
async def move(turn: Turn) -> None:
    _writable(turn)
    await _carry(turn, moves=True)


async def _carry(turn: Turn, *, moves: bool) -> None:
    uids = turn.uids(turn.next("a sequence set"))
    try:
        to = mailbox(turn, turn.next("a mailbox"))
    except No as missing:
        raise No(str(missing).replace("[NONEXISTENT]", "[TRYCREATE]")) from missing
    turn.no_more()
    account = turn.account
    pairs = []
    for uid in turn.limited(uids, whole=not moves):
        placed = turn.view.place(uid)
        if placed is None:
            continue
        made = (account.moved if moves else account.copied)(placed, to)
        if turn.session.quirks.regenerates:
            made.mail.octets = _regenerated(made.mail.octets)
        pairs.append((uid, made.uid))
    code = _copyuid(turn, to, pairs)
    account.notify()
    if moves:
        if code:
            turn.say(f"OK {code}")
        turn.session.tell_news(turn)
    elif code:
        turn.answer = f"OK {code}{turn.command.name} completed"


def _copyuid(turn: Turn, to: Mailbox, pairs: list[tuple[int, int]]) -> str:
    if not pairs or not turn.session.has("UIDPLUS"):
        return ""
    old, new = [uid for uid, _ in pairs], [uid for _, uid in pairs]
    if new != sorted(new) or len(set(new)) != len(new):
        to_set = ",".join(map(str, new))  # Gmail: some were there before
    elif turn.session.quirks.permuted_copyuid or any(isinstance(one, PermutedCopyuid) for one in turn.faults):
        to_set = ",".join(map(str, reversed(new)))
    else:
        to_set = ranges(new)
    return f"[COPYUID {to.uidvalidity} {ranges(old)} {to_set}] "


def _regenerated(octets: bytes) -> bytes:
    """The same message, written anew: another header line in front."""
    line, _, rest = octets.partition(b"\r\n")
    return octets if not line.startswith(b"From:") else rest.partition(b"\r\n")[0] + b"\r\n" + line + b"\r\n" + (
        rest.partition(b"\r\n")[2])


@handles("EXPUNGE", "s")
async def expunge(turn: Turn) -> None:
    turn.no_more()
    _writable(turn)
    _expunge(turn, list(turn.view.uids))


@handles("UID EXPUNGE", "s", "UIDPLUS")
async def uid_expunge(turn: Turn) -> None:
    uids = turn.uids(turn.next("a UID set"))
    turn.no_more()
    _writable(turn)
    _expunge(turn, uids)


def _expunge(turn: Turn, uids: list[int]) -> None:
    for uid in uids:
        placed = turn.view.place(uid)
        if placed is not None and "\\Deleted" in placed.mail.flags:
            turn.account.remove(turn.view.mailbox, uid)
    turn.account.notify()


@handles("CLOSE", "s")
async def close(turn: Turn) -> None:
    """Expunges without a word (RFC 9051 6.4.1)."""
    turn.no_more()
    if not turn.view.read_only:
        _expunge(turn, list(turn.view.uids))
    turn.session.view = None


@handles("APPEND", "as")
async def append(turn: Turn) -> None:
    try:
        box = mailbox(turn, turn.next("a mailbox"))
    except No as missing:
        raise No(str(missing).replace("[NONEXISTENT]", "[TRYCREATE]")) from missing
    stored = flags(turn.next()) if isinstance(turn.args[0] if turn.args else None, list) else []
    date = None
    if len(turn.args) > 1:
        date = date_time(string(turn.next()).decode("ascii"))
    octets = turn.next("a message")
    turn.no_more()
    if not isinstance(octets, bytes):
        raise Wrong("a message is a literal")
    limit = next((int(word[12:]) for word in turn.session.capabilities if word.startswith("APPENDLIMIT=")), 0)
    if limit and len(octets) > limit:
        raise No("[TOOBIG] Message is too large")
    if not box.selectable:
        raise No("[CANNOT] Nothing can be put there")
    placed = turn.account.appended(box, bytes(octets), stored, date)
    view = turn.session.view
    if turn.session.quirks.append_hidden and view is not None and view.mailbox is box:
        view.hidden.add(placed.uid)
    turn.account.notify()
    code = f"[APPENDUID {box.uidvalidity} {placed.uid}] " if turn.session.has("UIDPLUS") else ""
    turn.answer = f"OK {code}APPEND completed"



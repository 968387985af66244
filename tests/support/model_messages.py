"""What clients do with messages: FETCH, STORE, EXPUNGE, COPY, MOVE, APPEND, REPLACE, and what the model says to it."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.support.believer import numbers
from tests.support.model_client import Picture
from tests.support.model_inbox import Box
from tests.support.model_mail import CONTENTS, DAY, FIRST_DAY, Content, Mail, plain_text
from tests.support.model_session import NAMES, Play, Tell, random_flags, seconds
from tests.transcripts.harness import NOW

ITEMS = [
    "FLAGS", "UID", "MODSEQ", "RFC822.SIZE", "INTERNALDATE", "SAVEDATE", "BODY.PEEK[]", "BODY.PEEK[HEADER]",
    "BODY.PEEK[TEXT]", "BODY.PEEK[1]", "BINARY.PEEK[1]", "BINARY.SIZE[1]", "BODY[TEXT]", "BODY[1]<2.5>", "PREVIEW",
    "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
]  # fmt: skip


class Messages(Play):
    """Commands about messages."""

    # -- STORE ---------------------------------------------------------------------------------------------------

    async def do_store(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)
        if not uids:
            return
        sign, flags = random.choice(["", "+", "+", "-"]), random_flags(random)
        silent, since = random.random() < 0.5, None
        if random.random() < 0.3:
            since = max(box.modseq - random.choice([0, 0, 1, 2, 4]), 0)
        head, by_uid = self.written(me, uids, "STORE", random)
        modifier = "" if since is None else f" (UNCHANGEDSINCE {since})"
        command = f"{head}{modifier} {sign}FLAGS{'.SILENT' if silent else ''} ({' '.join(sorted(flags))})"
        if me.read_only:
            await self.say(me, command, "all" if by_uid else "withhold", "NO")
            return
        gone = any(uid not in box.mails for uid in uids)
        before = {id(entry): entry.flags for entry in me.entries}
        there = [entry for entry in me.entries if entry.uid in uids and entry.uid in box.mails]
        refused = self.model.store(box, uids, sign, flags, since)
        if since is not None:
            me.enabled.add("CONDSTORE")

        def reckon() -> None:
            """What a client has done silently it knows, where it was not told otherwise."""
            for entry in there:
                if entry.uid not in refused and id(entry) not in me.answer.flags_told:
                    old = before[id(entry)]
                    assert old is not None
                    entry.flags = flags if not sign else old | flags if sign == "+" else old - flags

        self.before_check = reckon if silent else None
        named = refused if by_uid else [me.uids.index(uid) + 1 for uid in refused]
        answer = await self.say(
            me, command, "all" if by_uid else "withhold", "NO" if gone and not by_uid else "OK"
        )
        code, what = answer.code
        assert (numbers(what.encode()) if code == "MODIFIED" else []) == named
        if gone and not by_uid:
            assert code in ("EXPUNGEISSUED", "MODIFIED")

    async def do_race(self, me: Picture, random: Random) -> None:
        """Several clients store the same flag at once with the same UNCHANGEDSINCE: one of them wins."""
        box = await self.ready_in_mailbox(me, random)
        rivals = [other for other in self.pictures if other.box is box and not other.read_only and not other.idle]
        known = set(box.mails).intersection(*(other.uids for other in rivals))
        uids = [uid for uid in sorted(known) if "work" not in box.mails[uid].flags][:3]
        if len(rivals) < 2 or not uids:
            return
        since = max(box.mails[uid].modseq for uid in uids)
        self.model.store(box, uids, "+", frozenset({"work"}), None)
        some = ",".join(map(str, uids))
        for other in rivals:
            assert other.client is not None
            other.enabled.add("CONDSTORE")
            other.client.send(f"c UID STORE {some} (UNCHANGEDSINCE {since}) +FLAGS (work)\r\n".encode())
        winners = 0
        for other in random.sample(rivals, len(rivals)):
            answer = await other.hear(b"c")
            assert answer.status == "OK", answer.tagged
            code, what = answer.code
            if code == "MODIFIED":
                assert numbers(what.encode()) == uids
            else:
                winners += 1
        assert winners == 1
        for other in rivals:
            await self.say(other, "NOOP")

    # -- what goes -----------------------------------------------------------------------------------------------

    async def do_expunge(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids, command = sorted(me.uids), "EXPUNGE"
        if me.uid_only or random.random() < 0.4:
            uids = self.chosen(me, random)
            if not uids:
                return
            command = f"UID EXPUNGE {uids[0]}:{uids[-1]}"
        if me.read_only:
            await self.say(me, command, expect="NO")
            return
        removed = self.model.remove(
            box, [uid for uid in uids if uid in box.mails and "\\Deleted" in box.mails[uid].flags]
        )
        answer = await self.say(me, command)
        if removed and me.resyncs:
            assert answer.code == ("HIGHESTMODSEQ", str(box.modseq))

    async def do_doom(self, me: Picture, random: Random) -> None:
        """\\Deleted for some: without it there is little to expunge."""
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)
        if uids and not me.read_only:
            self.model.store(box, uids, "+", frozenset({"\\Deleted"}), None)
            await self.say(me, f"UID STORE {uids[0]}:{uids[-1]} +FLAGS (\\Deleted)")

    async def do_vanish(self, me: Picture, random: Random) -> None:
        boxes = [box for box in self.model.boxes.values() if box.mails]
        if boxes:
            box = random.choice(boxes)
            await self.vanish(box.name, random.sample(sorted(box.mails), min(len(box.mails), random.choice([1, 2]))))

    async def do_deliver(self, me: Picture, random: Random) -> None:
        await self.deliver("INBOX", random.choice(CONTENTS), random_flags(random))

    # -- COPY and MOVE -------------------------------------------------------------------------------------------

    async def do_copy(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)
        if not uids:
            return
        name = random.choice([*NAMES, box.name, box.name])
        target = self.model.find(name)
        head, by_uid = self.written(me, uids, "COPY", random)
        tell: Tell = "all" if by_uid else "withhold"
        command = head.encode() + b" " + me.spelled(name)
        if target is None or target.noselect:
            answer = await self.say(me, command, tell, "NO")
            assert answer.code[0] == ("TRYCREATE" if target is None else "CANNOT")
        elif any(uid not in box.mails for uid in uids):
            answer = await self.say(me, command, tell, "NO")
            assert answer.code[0] == "EXPUNGEISSUED"
        else:
            made = self.model.copy(box, uids, target)
            answer = await self.say(me, command, tell)
            self.check_copyuid(answer.code, target, uids, made)

    @staticmethod
    def check_copyuid(code: tuple[str, str], target: Box, uids: list[int], made: list[int]) -> None:
        name, what = code
        assert name == "COPYUID"
        uidvalidity, old, new = what.split()
        assert int(uidvalidity) == target.uidvalidity
        assert (numbers(old.encode()), numbers(new.encode())) == (uids, made)

    async def do_move(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)
        if not uids:
            return
        name = random.choice([*NAMES, "INBOX", "INBOX"])
        target = self.model.find(name)
        command = self.written(me, uids, "MOVE", random)[0].encode() + b" " + me.spelled(name)
        if me.read_only or target is None or target.noselect:
            await self.say(me, command, expect="NO")
            return
        there, made = self.model.move(box, uids, target)
        answer = await self.say(me, command)
        assert bool(there) is ("COPYUID" in answer.codes)
        if there:
            self.check_copyuid(("COPYUID", answer.codes["COPYUID"]), target, there, made)

    # -- APPEND and REPLACE --------------------------------------------------------------------------------------

    def message(self, me: Picture, random: Random) -> tuple[bytes, tuple[Content, frozenset[str], int]]:
        """A message of APPEND: flags, date and octets, given whole or put together by CATENATE."""
        flags, day = random_flags(random), random.choice([None, *range(6)])
        head = f"({' '.join(sorted(flags))}) " if flags or random.random() < 0.5 else ""
        if day is not None:
            head += f'"{13 + day}-Sep-2020 10:00:00 +0000" '
        date = NOW if day is None else FIRST_DAY + day * DAY + 36_000
        content = random.choice(CONTENTS)
        data = self.catenated(random) if random.random() < 0.4 else None
        if data is not None:
            return head.encode() + data[0], (data[1], flags, date)
        sign = b"~" if random.random() < 0.2 else b""
        return head.encode() + literal(content.octets, sign), (content, flags, date)

    def catenated(self, random: Random) -> tuple[bytes, Content] | None:
        """The header of one of our messages, and a text."""
        found = [
            (box, mail) for box in self.model.boxes.values() for mail in box.mails.values()
            if box.name.replace("/", "").isalnum() and box.name.isascii() and mail.content.parts.keys() == {"1"}
        ]  # fmt: skip
        if not found:
            return None
        box, mail = random.choice(found)
        head = f'URL "/{box.name}/;UID={mail.uid}/;SECTION=HEADER"'
        other, source = random.choice(found)
        if source.content.text and random.random() < 0.5:
            tail = f' URL "/{other.name};UIDVALIDITY={other.uidvalidity}/;UID={source.uid}/;SECTION=TEXT"'.encode()
            text = source.content.text
        else:
            text = b"About apples."
            tail = b" TEXT " + literal(text)
        octets = mail.content.header + text
        content = next((content for content in CONTENTS if content.octets == octets), None) or plain_text(octets)
        return b"CATENATE (" + head.encode() + tail + b")", content

    async def do_append(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name = random.choice([*NAMES, "INBOX", "INBOX", "INBOX"])
        if me.box is not None and random.random() < 0.3:
            name = me.box.name
        target = self.model.find(name)
        made = [self.message(me, random) for _ in range(random.choice([1, 1, 1, 2, 3]))]
        command = b"APPEND " + me.spelled(name) + b" " + b" ".join(data for data, _ in made)
        if target is None or target.noselect:
            answer = await self.say(me, command, expect="NO")
            assert answer.code[0] == ("TRYCREATE" if target is None else "CANNOT")
            return
        uids = self.model.append(target, [mail for _, mail in made])
        answer = await self.say(me, command)
        assert answer.code[0] == "APPENDUID"
        assert self.appended(answer.code[1]) == (target.uidvalidity, uids)

    @staticmethod
    def appended(what: str) -> tuple[int, list[int]]:
        uidvalidity, uids = what.split()
        return int(uidvalidity), numbers(uids.encode())

    async def do_replace(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)[:1]
        if not uids:
            return
        name = random.choice([*NAMES, box.name, box.name, box.name])
        target = self.model.find(name)
        by_uid = me.uid_only or random.random() < 0.5
        head = f"UID REPLACE {uids[0]}" if by_uid else f"REPLACE {me.uids.index(uids[0]) + 1}"
        data, (content, flags, date) = self.message(me, random)
        command = head.encode() + b" " + me.spelled(name) + b" " + data
        if me.read_only or target is None or target.noselect or uids[0] not in box.mails:
            await self.say(me, command, expect="NO")
            return
        made = self.model.replace(box, uids[0], target, content, flags, date)
        answer = await self.say(me, command)
        assert self.appended(answer.codes["APPENDUID"]) == (target.uidvalidity, [made])

    # -- FETCH ---------------------------------------------------------------------------------------------------

    async def do_fetch(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        uids = self.chosen(me, random)
        if not uids:
            return
        items = random.sample(ITEMS, random.choice([1, 1, 2, 4]))
        head, by_uid = self.written(me, uids, "FETCH", random)
        modifiers, wanted = [], [uid for uid in uids if uid in box.mails]
        earlier: set[int] | None = None
        since = 0
        if by_uid and len(set(uids) - box.mails.keys()) == 0 and random.random() < 0.3:
            first, last = sorted((random.randint(1, 4), random.randint(1, 4)))
            end = random.choice(["", "-"])
            modifiers.append(f"PARTIAL {end}{first}:{end}{last}")
            wanted = [
                uid for at, uid in enumerate(wanted) if first <= (len(wanted) - at if end else at + 1) <= last
            ]
        if random.random() < 0.3:
            since = max(box.modseq - random.randrange(5), 1)
            vanished = by_uid and me.resyncs and not modifiers and random.random() < 0.5
            modifiers.append(f"CHANGEDSINCE {since}{' VANISHED' if vanished else ''}")
            wanted = [uid for uid in wanted if box.mails[uid].modseq > since]
            if vanished:
                asked = set(uids) if "$" in head else set(range(uids[0], uids[-1] + 1))
                earlier = {uid for uid in asked - set(me.uids) if box.gone.get(uid, 0) > since}
        if any("CHANGEDSINCE" in modifier for modifier in modifiers) or "MODSEQ" in items:
            me.enabled.add("CONDSTORE")
        seen = [item for item in items if item.startswith("BODY[")]
        if seen and not me.read_only:
            self.model.store(box, wanted, "+", frozenset({"\\Seen"}), None)
        command = f"{head} ({' '.join(items)}){f' ({chr(32).join(modifiers)})' if modifiers else ''}"
        places = dict(enumerate(sorted(me.uids), 1))
        answer = await self.say(me, command, "all" if by_uid else "withhold", "OK NO")
        if answer.status == "NO":
            assert answer.code[0] == "EXPUNGEISSUED"
            assert not by_uid
        if earlier is not None:
            assert since < box.vague or set(answer.earlier) == earlier
        shown = set()
        for number, told in answer.fetched:
            uid = number if me.uid_only else int(told.get(b"UID", places.get(number, 0)))
            asked_for = told.keys() & {item.replace(".PEEK", "").replace(".5>", ">").encode() for item in items}
            if uid in box.mails and asked_for:
                shown.add(uid)
                for item, value in told.items():
                    check_item(box.mails[uid], item, value)
        assert shown >= set(wanted), f"{sorted(set(wanted) - shown)} are missing"

    before_check: Any = None

    async def check(self, me: Picture, withheld: set[int] | frozenset[int] = frozenset()) -> None:
        if self.before_check is not None:
            reckon, self.before_check = self.before_check, None
            reckon()
        await super().check(me, withheld)


def literal(octets: bytes, sign: bytes = b"") -> bytes:
    return sign + b"{%d+}\r\n" % len(octets) + octets


def check_item(mail: Mail, item: bytes, value: Any) -> None:
    """A FETCH item of a message is what the model has; flags and MODSEQ are in the picture."""
    content = mail.content
    octets, decoded = content.parts["1"]
    subject = f"Subject: {content.subject}\r\n\r\n".encode()
    expected: dict[bytes, Any] = {
        b"UID": b"%d" % mail.uid, b"RFC822.SIZE": b"%d" % len(content.octets), b"BODY[]": content.octets,
        b"BODY[HEADER]": content.header, b"BODY[TEXT]": content.text, b"BODY[1]": octets, b"BINARY[1]": decoded,
        b"BINARY.SIZE[1]": b"%d" % len(decoded), b"BODY[1]<2>": octets[2:7],
        b"BODY[HEADER.FIELDS (SUBJECT)]": subject,
    }  # fmt: skip
    if item in expected:
        assert value == expected[item], (mail.uid, item, value, expected[item])
    elif item == b"INTERNALDATE":
        assert seconds(value) == mail.date
    elif item == b"SAVEDATE":
        assert seconds(value) == mail.saved
    elif item == b"ENVELOPE":
        assert (value[1] or b"").decode() == content.subject
        assert value[2][0][2].decode() == content.sender
    elif item == b"PREVIEW":
        assert len(value or b"") <= 800

"""Clients of one inbox beside its model: connecting, saying a command, and what must hold after each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from gateway.model.flags import SYSTEM_FLAGS
from gateway.store import inboxes
from gateway.store.db import Rx, Tx
from gateway.store.quota import Limits
from gateway.store.statements import Stmt
from tests.support.model_client import Answer, Entry, Picture
from tests.support.model_inbox import Box, Inbox
from tests.support.model_mail import CONTENTS, DAY, FIRST_DAY, FLAGS, Content, Mail
from tests.support.model_responses import pairs
from tests.transcripts.harness import NOW, Harness, until

Tell = Literal["all", "withhold", "nothing"]
NAMES = ["INBOX", "Box", "Box/sub", "Box/sub/deep", "Entwürfe", "a&b", "Ärger/Kind", "Sent", "Trash", "Archive"]
_MODSEQ = Stmt("SELECT modseq FROM inbox WHERE id = :inbox")
LIMITS = Limits(10**9, 10**6, 10**4)


class Play:
    """One inbox of its own, its model and its clients."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.pictures: list[Picture] = []
        self.tag = 0

    async def begin(self, address: str, habits: Sequence[Sequence[str]], mails: int) -> None:
        """A client for each habit: what it enables whenever it connects."""

        def make(tx: Tx) -> inboxes.Inbox:
            pod = inboxes.inbox_by_id(tx, self.harness.inboxes["a@example.org"])
            assert pod is not None
            return inboxes.create_inbox(tx, pod.pod_id, address, now=NOW, limits=LIMITS)

        made = await self.harness.db.write(make)
        self.harness.inboxes[address] = self.harness.inbox = made.id
        self.address = address
        self.model = Inbox(await self.highest(), NOW + 4, NOW)
        self.pictures = [Picture(habit) for habit in habits]
        for at in range(mails):
            await self.deliver("INBOX", CONTENTS[at % len(CONTENTS)], frozenset())

    async def end(self) -> None:
        """A newcomer sees what the model has, and each client does."""
        for me in self.pictures:
            await self.ready(me)
            box = me.box
            if box is None:
                continue
            if "QRESYNC" not in me.habit:
                await self.say(me, "NOOP")
                continue
            self.leave(me)  # it was not told everything, and comes back
            await self.connect(me)
            await self.select(me, box, "SELECT", resync=True)
        for me in self.pictures:
            self.leave(me)
        observer = Picture()
        await self.connect(observer)
        await self.compare_list(observer)
        for name, box in list(self.model.boxes.items()):
            if not box.noselect:
                await self.select(observer, box, "EXAMINE", " (CONDSTORE)")
                await self.say(observer, "NOOP")
                assert observer.knows_all
                command = b"GETMETADATA (DEPTH infinity) " + observer.spelled(name) + b" /private"
                answer = await self.say(observer, command)
                told = [pairs(words[2]) for words in answer.lists if words[0] == b"METADATA"]
                assert {
                    key.decode(): value.decode() for entries in told for key, value in entries.items()
                    if key != b"/private/specialuse"
                } == {key: value for key, value in box.entries.items() if key.startswith("/private")}  # fmt: skip
        self.leave(observer)

    # -- connections ---------------------------------------------------------------------------------------------

    async def connect(self, me: Picture) -> None:
        me.opened(await self.harness.logged_in("full", self.address))
        for name in me.habit:
            me.enabled |= {name.upper(), "CONDSTORE"} if name == "QRESYNC" else {name.upper()}
            await self.say(me, f"ENABLE {name}")

    def leave(self, me: Picture) -> None:
        if me.client is not None:
            me.client.session.connection_lost()
            self.harness.clients.remove(me.client)
        me.client = None
        me.idle = False
        me.closed_box()

    async def ready(self, me: Picture) -> None:
        """It is connected and does not idle."""
        if me.client is None:
            await self.connect(me)
        if me.idle:
            assert me.client is not None
            me.idle = False
            me.client.send(b"DONE\r\n")
            answer = await me.hear(b"i")
            assert answer.status == "OK"
            await self.check(me)

    async def ready_in_mailbox(self, me: Picture, random: Random) -> Box:
        await self.ready(me)
        if me.box is None:
            name = random.choice(["INBOX", "INBOX", "Box"])
            box = self.model.find(name)
            if box is None or box.noselect:
                box = self.model.boxes["INBOX"]
            await self.select(me, box, "SELECT", resync=me.resyncs)
        assert me.box is not None
        return me.box

    # -- commands ------------------------------------------------------------------------------------------------

    async def say(self, me: Picture, command: str | bytes, tell: Tell = "all", expect: str = "OK") -> Answer:
        """Send a command, believe what comes, and hold it against the model, which has changed already."""
        assert me.client is not None
        data = command.encode() if isinstance(command, str) else command
        before = set(me.uids)
        self.tag += 1
        tag = b"t%d" % self.tag
        me.client.send(tag + b" " + data + b"\r\n")
        answer = await me.hear(tag, by_number=tell == "withhold")
        assert answer.status in expect.split(), answer.tagged
        await self.others_hear()
        if me.box is not None and tell != "nothing":
            await self.check(me, before if tell == "withhold" else set())
        return answer

    async def check(self, me: Picture, withheld: set[int] | frozenset[int] = frozenset()) -> None:
        if me.box is None:
            return
        if me.box.deleted:
            assert me.client is not None
            await me.client.wait_closed()
            self.leave(me)
            return
        assert not (wrong := me.differs(withheld=withheld)), wrong
        await self.learn(me, withheld)
        if not withheld and me.answer.status == "OK":  # a command that failed may leave updates to the next one
            self.check_contexts(me)

    def check_contexts(self, me: Picture) -> None:
        for tag, (key, _, found) in me.contexts.items():
            assert sorted(found) == self.matching(me, key), f"{tag} {key.text}"

    async def learn(self, me: Picture, withheld: set[int] | frozenset[int] = frozenset()) -> None:
        """UID, flags and MODSEQ of what is new."""
        items = "FLAGS MODSEQ" if me.modseqs else "FLAGS"
        for _ in range(3):
            if me.knows_all:
                break
            self.tag += 1
            tag = b"t%d" % self.tag
            assert me.client is not None
            command = f"UID FETCH 1:* ({items})" if me.uid_only else f"FETCH 1:* (UID {items})"
            me.client.send(tag + b" " + command.encode() + b"\r\n")
            answer = await me.hear(tag, by_number=not me.uid_only)
            assert answer.status == "OK", answer.tagged
            # What another session has expunged is counted and may have lost its flags for good.
            for entry in me.entries:
                if entry.uid in withheld and entry.uid not in me.box.mails:  # type: ignore[union-attr]
                    entry.modseq = entry.modseq or 0
                    entry.flags = frozenset() if entry.flags is None else entry.flags
        assert me.knows_all or withheld, "a FETCH of everything leaves nothing unknown"
        assert not (wrong := me.differs(withheld=withheld)), wrong

    async def others_hear(self) -> None:
        """Who idles is told by itself; who had a mailbox selected that is gone is thrown out."""
        for me in self.pictures:
            if me.client is None or me.box is None:
                continue
            if me.box.deleted:
                await me.client.wait_closed()
                self.leave(me)
            elif me.idle:
                await self.hear_idling(me)

    async def hear_idling(self, me: Picture) -> None:
        def told() -> bool:
            me.overhear()
            return not me.differs() and not self.late(me)

        try:
            await until(told)
        except TimeoutError:
            raise AssertionError(f"never told while it idles: {me.differs()} {self.late(me)}") from None

    @staticmethod
    def late(me: Picture) -> list[str]:
        """Searches with updates that are behind, of one who was told all else but knows no new UIDs."""
        assert me.box is not None
        mails = [me.box.mails[uid] for uid in sorted(me.box.mails)]
        return [
            f"{key.text}: {found}" for key, _, found in me.contexts.values()
            if sorted(found) != [mail.uid for number, mail in enumerate(mails, 1) if key.holds(number, mail)]
        ]  # fmt: skip

    async def select(self, me: Picture, box: Box, verb: str, parameter: str = "", *, resync: bool = False) -> None:
        """SELECT or EXAMINE of a mailbox that is there; with QRESYNC what it knew of it is brought up to date."""
        assert me.client is not None
        me.closed_box()
        if "CONDSTORE" in parameter:
            me.enabled.add("CONDSTORE")
        known = me.remembered.get(box.object_id) if resync else None
        if known is not None:
            parameter = f" (QRESYNC ({known.uidvalidity} {known.highest}"
            uids = sorted(known.flags)
            if uids and known.highest % 2:
                parameter += f" {','.join(map(str, uids))}"
                if not me.uid_only and known.highest % 3:
                    last = uids[-3:]
                    parameter += f" ({len(uids) - len(last) + 1}:{len(uids)} {','.join(map(str, last))})"
            parameter += "))"
        self.tag += 1
        tag = b"t%d" % self.tag
        me.client.send(tag + b" " + verb.encode() + b" " + me.spelled(box.name) + parameter.encode() + b"\r\n")
        me.entries, me.exists = [], 0
        answer = await me.hear(tag)
        assert answer.status == "OK", answer.tagged
        assert answer.code[0] == ("READ-WRITE" if verb == "SELECT" else "READ-ONLY")
        me.selected(box, read_only=verb == "EXAMINE")
        assert me.exists == len(box.mails)
        assert int(answer.codes["UIDVALIDITY"]) == box.uidvalidity
        assert int(answer.codes["UIDNEXT"]) == box.uidnext
        assert int(answer.codes["HIGHESTMODSEQ"]) == box.modseq
        box.object_id = box.object_id or answer.codes["MAILBOXID"]
        assert answer.codes["MAILBOXID"] == box.object_id
        unseen = next((at for at, uid in enumerate(box.mails, 1) if "\\Seen" not in box.mails[uid].flags), None)
        if not me.rev2 and not me.uid_only:
            assert answer.codes.get("UNSEEN") == (None if unseen is None else str(unseen))
        if known is not None:
            left = sorted(known.flags.keys() - set(answer.earlier))
            assert left == [uid for uid in left if uid in box.mails], "it believes in what is gone"
            if me.uid_only:
                told = {entry.uid for entry in me.entries}
                me.entries += [Entry(uid, known.flags[uid]) for uid in left if uid not in told]
                me.entries.sort(key=lambda entry: entry.uid or 0)
            else:
                for entry, uid in zip(me.entries, left, strict=False):
                    assert entry.uid in (None, uid)
                    entry.uid = uid
                    entry.flags = known.flags[uid] if entry.flags is None else entry.flags
        await self.check(me)

    async def compare_list(self, me: Picture) -> None:
        """LIST with everything that it can return is the model's tree."""
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "SIZE", "DELETED", "DELETED-STORAGE", "HIGHESTMODSEQ"]
        me.enabled.add("CONDSTORE")
        answer = await self.say(
            me, f'LIST "" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS ({" ".join(items)}))'
        )
        lists = {me.read_name(words[3]): words for words in answer.lists if words[0] == b"LIST"}
        stati = {me.read_name(words[1]): words for words in answer.lists if words[0] == b"STATUS"}
        # A subscribed name without a mailbox is no answer to a LIST without selection options.
        assert lists.keys() == self.model.boxes.keys()
        for name, box in self.model.boxes.items():
            marks = {mark.decode().lower() for mark in lists[name][1]}
            assert ("\\noselect" in marks) is box.noselect
            assert ("\\haschildren" in marks) is self.model.children(name)
            assert ("\\hasnochildren" in marks) is not self.model.children(name)
            assert ("\\subscribed" in marks) is (name in self.model.subscribed)
            assert {mark for mark in marks if mark in ROLES} == ({box.role.lower()} if box.role else set())
            assert (name in stati) is not box.noselect
            if not box.noselect:
                told = {key.decode(): int(value) for key, value in pairs(stati[name][2]).items()}
                assert told == box.status(items), name

    def matching(self, me: Picture, key: Any) -> list[int]:
        """UIDs of the mailbox's messages for which a key holds, in the numbers that this client sees."""
        assert me.box is not None
        found = []
        for number, uid in enumerate(sorted(me.uids), 1):
            mail = me.box.mails.get(uid)
            if mail is not None and key.holds(number, mail):
                found.append(uid)
        return found

    # -- elsewhere -----------------------------------------------------------------------------------------------

    async def deliver(self, name: str, content: Content, flags: frozenset[str]) -> None:
        box = self.model.boxes[name]
        self.model.append(box, [(content, flags, NOW)])
        mask = sum(SYSTEM_FLAGS[flag] for flag in flags if flag in SYSTEM_FLAGS)
        keywords = [flag for flag in flags if flag not in SYSTEM_FLAGS]
        self.harness.inbox = self.harness.inboxes[self.address]
        await self.harness.deliver(content.octets, name, flags=mask, keywords=keywords)
        await self.others_hear()

    async def vanish(self, name: str, uids: list[int]) -> None:
        self.model.remove(self.model.boxes[name], uids)
        self.harness.inbox = self.harness.inboxes[self.address]
        await self.harness.expunge(uids, name)
        await self.others_hear()

    # -- after a round in which nobody knows the order -----------------------------------------------------------

    async def relearn(self) -> None:
        """The model becomes what a newcomer is told; who was told everything must then agree with it."""
        observer = Picture()
        await self.connect(observer)
        observer.enabled.add("CONDSTORE")
        by_octets = {content.octets: content for content in CONTENTS}
        for box in self.model.boxes.values():
            if box.noselect:
                continue
            for content in [mail.content for mail in box.mails.values()]:
                by_octets.setdefault(content.octets, content)
        top = self.model.modseq
        for name, box in self.model.boxes.items():
            if box.noselect:
                continue
            assert observer.client is not None
            observer.closed_box()
            observer.entries, observer.exists = [], 0
            observer.client.send(b"e EXAMINE " + observer.spelled(name) + b" (CONDSTORE)\r\n")
            opened = await observer.hear(b"e")
            assert opened.status == "OK"
            observer.client.send(b"f UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE SAVEDATE BODY.PEEK[])\r\n")
            fetched = (await observer.hear(b"f")).fetched
            mails = {}
            for _, items in fetched:
                uid = int(items[b"UID"])
                mails[uid] = Mail(
                    uid, frozenset(flag.decode() for flag in items[b"FLAGS"]), int(items[b"MODSEQ"][0]),
                    by_octets[items[b"BODY[]"]], seconds(items[b"INTERNALDATE"]), NOW,
                )  # fmt: skip
            assert len(mails) == observer.exists
            box.vague = int(opened.codes["HIGHESTMODSEQ"])
            assert all(uid >= box.uidnext for uid in mails.keys() - box.mails.keys()), "a UID came back"
            box.mails, box.uidnext = dict(sorted(mails.items())), int(opened.codes["UIDNEXT"])
            assert int(opened.codes["HIGHESTMODSEQ"]) >= max((m.modseq for m in mails.values()), default=0)
            box.modseq = int(opened.codes["HIGHESTMODSEQ"])
            top = max(top, box.modseq)
        self.leave(observer)
        self.model.modseq = await self.highest()
        assert self.model.modseq >= top

    async def highest(self) -> int:
        """The inbox's last MODSEQ: units that changed no mailbox have drawn theirs too."""
        inbox_id = self.harness.inboxes[self.address]

        def read(rx: Rx) -> int:
            row = rx.one(_MODSEQ, inbox=inbox_id)
            assert row is not None
            return int(row[0])

        return await self.harness.db.read(read)

    # -- choosing ------------------------------------------------------------------------------------------------

    def chosen(self, me: Picture, random: Random) -> list[int]:
        """Neighbours of its list."""
        uids = sorted(me.uids)
        if not uids:
            return []
        first = random.randrange(len(uids))
        return uids[first : first + random.choice([1, 1, 2, 3, len(uids)])]

    def written(self, me: Picture, uids: list[int], verb: str, random: Random) -> tuple[str, bool]:
        """The beginning of a command about them, and whether it is by UID."""
        saved = [uid for uid in me.saved if uid in me.uids]
        by_uid = me.uid_only or random.random() < 0.5
        if saved and saved == uids:
            return f"{'UID ' if by_uid else ''}{verb} $", by_uid
        if by_uid:
            return f"UID {verb} {uids[0]}:{uids[-1]}", True
        return f"{verb} {me.uids.index(uids[0]) + 1}:{me.uids.index(uids[-1]) + 1}", False


ROLES = {"\\sent", "\\drafts", "\\trash", "\\junk", "\\archive"}
_DATE = re.compile(rb" ?(\d+)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) \+0000\Z")


def seconds(text: bytes) -> int:
    """A date-time of those that occur here: days of September 2020, and the server's clock."""
    match = _DATE.match(text)
    assert match is not None, text
    if match[2] == b"Sep":
        return FIRST_DAY + (int(match[1]) - 13) * DAY + int(match[4]) * 3600
    assert text.startswith(b"14-Nov-2023 22:13:20"), text
    return NOW


def random_flags(random: Random) -> frozenset[str]:
    return frozenset(random.sample(FLAGS, random.choice([0, 1, 1, 2])))

"""What clients do with mailboxes and with their own session: the tree, STATUS, annotations, SELECT, IDLE, ENABLE."""

from __future__ import annotations

import unicodedata
from random import Random

from tests.support.model_client import Picture
from tests.support.model_inbox import STATUS_ITEMS, canonical
from tests.support.model_responses import pairs
from tests.support.model_searches import Searches
from tests.support.model_session import NAMES

ENTRIES = ["/private/comment", "/shared/comment", "/private/vendor/test/colour"]


class Mailboxes(Searches):
    """Commands about mailboxes and sessions."""

    # -- the tree ------------------------------------------------------------------------------------------------

    def given(self, random: Random) -> str:
        """A name as somebody may spell it."""
        name = random.choice(NAMES)
        if name.startswith("INBOX") and random.random() < 0.5:
            name = random.choice(["inbox", "Inbox"])
        return unicodedata.normalize("NFD", name) if random.random() < 0.2 else name

    async def do_create(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name = self.given(random)
        box = self.model.create(name)
        answer = await self.say(me, b"CREATE " + me.spelled(name), expect="NO" if box is None else "OK")
        if box is None:
            assert answer.code[0] == "ALREADYEXISTS"
        else:
            assert answer.code[0] == "MAILBOXID"
            box.object_id = answer.code[1]

    async def do_delete(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name = self.given(random)
        box = self.model.find(name)
        refused = self.model.delete(name)
        if box is not None and me.box is box and not refused:
            me.closed_box()
        answer = await self.say(me, b"DELETE " + me.spelled(name), expect="NO" if refused else "OK")
        assert not refused or refused in ("HASCHILDREN", answer.code[0])

    async def do_rename(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        old, new = self.given(random), self.given(random)
        refused = self.model.rename(old, new)
        answer = await self.say(
            me, b"RENAME " + me.spelled(old) + b" " + me.spelled(new), expect="NO" if refused else "OK"
        )
        assert answer.code[0] == refused or not refused

    async def do_subscribe(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name, wanted = self.given(random), random.random() < 0.5
        self.model.subscribe(name, wanted)
        await self.say(me, (b"SUBSCRIBE " if wanted else b"UNSUBSCRIBE ") + me.spelled(name))

    async def do_list(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        await self.compare_list(me)

    async def do_status(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name = self.given(random)
        box = self.model.find(name)
        items = random.sample(STATUS_ITEMS, random.choice([1, 2, 8]))
        command = b"STATUS " + me.spelled(name) + f" ({' '.join(items)})".encode()
        if box is None or box.noselect:
            await self.say(me, command, expect="NO")
            return
        if "HIGHESTMODSEQ" in items:
            me.enabled.add("CONDSTORE")
        answer = await self.say(me, command)
        [words] = [words for words in answer.lists if words[0] == b"STATUS"]
        assert canonical(me.read_name(words[1])) == box.name
        assert {key.decode(): int(value) for key, value in pairs(words[2]).items()} == box.status(items)

    async def do_metadata(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name, entry = self.given(random), random.choice(ENTRIES)
        box = self.model.find(name)
        if random.random() < 0.6:
            value = random.choice([None, "a", "b c"])
            command = b"SETMETADATA " + me.spelled(name) + f" ({entry} {_quoted(value)})".encode()
            if box is not None and not box.noselect:
                self.model.annotate(box, entry, value)
        else:
            command = b"GETMETADATA " + me.spelled(name) + f" ({' '.join(ENTRIES)})".encode()
        if box is not None and box.noselect:
            return
        answer = await self.say(me, command, expect="NO" if box is None else "OK")
        told: dict[str, str] = {}
        for words in answer.lists:
            if words[0] == b"METADATA" and isinstance(words[2], list):
                told |= {key.decode(): value.decode() for key, value in pairs(words[2]).items() if value is not None}
        if command.startswith(b"GET") and box is not None:
            assert told == box.entries

    async def do_quota(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        answer = await self.say(me, "GETQUOTAROOT INBOX")
        [words] = [words for words in answer.lists if words[0] == b"QUOTA"]
        triplets = zip(words[2][::3], words[2][1::3], strict=True)
        assert {name.decode(): int(used) for name, used in triplets} == self.model.usage()

    # -- the session ---------------------------------------------------------------------------------------------

    async def do_select(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        verb = random.choice(["SELECT", "SELECT", "SELECT", "EXAMINE"])
        name = random.choice([*NAMES, "INBOX", "INBOX", "Box"])
        box = self.model.find(name)
        if box is None or box.noselect:
            me.closed_box()
            await self.say(me, verb.encode() + b" " + me.spelled(name), "nothing", "NO")
            return
        resync = me.resyncs and random.random() < 0.8
        await self.select(me, box, verb, random.choice(["", "", " (CONDSTORE)"]), resync=resync)

    async def do_close(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        if random.random() < 0.5:
            await self.say(me, "UNSELECT", "nothing")
            me.closed_box()
            return
        if not me.read_only:
            doomed = [uid for uid in me.uids if uid in box.mails and "\\Deleted" in box.mails[uid].flags]
            self.model.remove(box, doomed)
        me.closed_box()
        await self.say(me, "CLOSE", "nothing")

    async def do_noop(self, me: Picture, random: Random) -> None:
        await self.ready_in_mailbox(me, random)
        await self.say(me, random.choice(["NOOP", "CHECK"]))

    async def do_idle(self, me: Picture, random: Random) -> None:
        await self.ready_in_mailbox(me, random)
        assert me.client is not None
        me.client.send(b"i IDLE\r\n")
        me.idle = True
        await self.others_hear()

    async def do_enable(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        name = random.choice(["CONDSTORE", "QRESYNC", "QRESYNC", "UIDONLY", "IMAP4rev2", "UTF8=ACCEPT"])
        me.enabled.add(name.upper())
        if name == "QRESYNC":
            me.enabled.add("CONDSTORE")
        await self.say(me, f"ENABLE {name}")

    async def do_unauthenticate(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        me.closed_box()
        me.enabled = set()
        await self.say(me, "UNAUTHENTICATE", "nothing")
        await self.say(me, f"LOGIN {self.address} full", "nothing")

    async def do_leave(self, me: Picture, random: Random) -> None:
        self.leave(me)


def _quoted(value: str | None) -> str:
    return "NIL" if value is None else f'"{value}"'

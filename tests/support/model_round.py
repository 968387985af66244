"""All clients talk at once, several commands each without waiting: nobody knows the order, but numbers stay right."""

from __future__ import annotations

import asyncio
from random import Random

from tests.support.model_client import Picture
from tests.support.model_mail import CONTENTS, FLAGS
from tests.support.model_mailboxes import Mailboxes
from tests.support.model_messages import literal


class Rounds(Mailboxes):
    """The above, and rounds of pipelined commands."""

    async def do_round(self, me: Picture, random: Random) -> None:
        said: dict[int, list[tuple[bytes, bool]]] = {}
        for other in self.pictures:
            await self.ready_in_mailbox(other, random)
        for other in self.pictures:
            assert other.client is not None
            commands = [self.spoken(other, random) for _ in range(random.randint(2, 6))]
            said[id(other)] = commands
            other.client.send(b"".join(b"p%d %b\r\n" % (at, text) for at, (text, _) in enumerate(commands)))
        elsewhere = []
        self.harness.inbox = self.harness.inboxes[self.address]
        for _ in range(random.randint(0, 2)):
            happens = self.harness.expunge([random.randint(1, 9)]) if random.random() < 0.5 else None
            elsewhere.append(asyncio.ensure_future(happens or self.harness.deliver(random.choice(CONTENTS).octets)))
        for other in random.sample(self.pictures, len(self.pictures)):
            for at, (text, by_number) in enumerate(said[id(other)]):
                empty = not other.exists
                answer = await other.hear(b"p%d" % at, by_number=by_number)
                assert answer.status != "BAD" or (by_number and empty), (text, answer.tagged)
        await asyncio.gather(*elsewhere)
        await self.relearn()
        for other in self.pictures:
            other.saved = []  # it holds what nobody knows
            await self.say(other, "NOOP")

    def spoken(self, me: Picture, random: Random) -> tuple[bytes, bool]:
        """A command that is legal whatever has become of the mailbox, and whether numbers must last through it."""
        by_uid = me.uid_only or random.random() < 0.4
        uid = "UID " if by_uid else ""
        some = random.choice(["1:*", "1", "2:3", "4:*"]) if by_uid else "1:*"
        one = random.randint(1, 9)
        flags = " ".join(random.sample(FLAGS, random.choice([1, 2])))
        since = f" (UNCHANGEDSINCE {max(me.highest, 0)})" if random.random() < 0.3 else ""
        sign = random.choice(["", "+", "+", "-"])
        octets = random.choice(CONTENTS).octets
        choices: list[tuple[str | bytes, bool]] = [
            *[(f"{uid}STORE {some}{since} {sign}FLAGS ({flags})", not by_uid)] * 4,
            *[(f"{uid}FETCH {some} {random.choice(['FLAGS', '(FLAGS MODSEQ)', 'BODY[TEXT]'])}", not by_uid)] * 3,
            (f"{uid}SEARCH {random.choice(FLAGS[:3])[1:].upper()}", not by_uid),
            (f"UID SORT (SUBJECT) UTF-8 UID {one}:*" if me.uid_only else "SORT (DATE) UTF-8 ALL", not me.uid_only),
            (f"{uid}THREAD REFERENCES UTF-8 ALL", not by_uid),
            ("UID SEARCH RETURN (SAVE) UNSEEN", False),
            (f"UID STORE $ {sign}FLAGS ({flags})", False),
            ("EXPUNGE", False),
            (f"UID EXPUNGE {one}:*", False),
            (f"UID MOVE {one} Trash", False),
            (f"UID COPY {one} INBOX", False),
            (f"UID COPY {some} Sent", False),
            ("STATUS INBOX (MESSAGES UNSEEN SIZE)", False),
            ('LIST "" % RETURN (STATUS (MESSAGES HIGHESTMODSEQ))', False),
            ("NOOP", False),
            (b"APPEND INBOX () " + literal(octets), False),
            (b"APPEND INBOX (work) " + literal(octets) + b" (\\Deleted) " + literal(CONTENTS[0].octets), False),
            (b"UID REPLACE %d INBOX (\\Flagged) " % one + literal(octets), False),
        ]
        text, by_number = random.choice(choices)
        data = text.encode() if isinstance(text, str) else text
        for word in (b"MODSEQ", b"UNCHANGEDSINCE"):
            if word in data:
                me.enabled.add("CONDSTORE")
        return data, by_number

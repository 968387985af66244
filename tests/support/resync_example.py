"""One mailbox, its model and its clients (`believer`): what they can do, in turn or all at once."""

from __future__ import annotations

import asyncio
import re
from random import Random
from typing import Final

from gateway.model.flags import SYSTEM_FLAGS, names_of
from gateway.model.sequence import from_numbers, render
from gateway.store import mailboxes, messages
from gateway.store.db import Rx
from tests.support.believer import Believer, Truth, numbers, uid_and_flags, whole_lines
from tests.transcripts.harness import Harness, until

FLAGS: Final = ["\\Seen", "\\Deleted", "\\Flagged", "work"]


def spoken(random: Random, me: Believer, name: str) -> str:
    """A command that makes sense whatever has become of the mailbox."""
    flags = " ".join(random.sample(FLAGS, random.choice([1, 1, 2])))
    uid = "UID " if me.uid_only or random.random() < 0.4 else ""
    some = random.choice(["1:*", "1:*", "1", "2:3"]) if uid else "1:*"
    sign = random.choice(["", "+", "+", "-"])
    silent = random.choice(["", ".SILENT"])
    since = random.choice(["", "", f" (UNCHANGEDSINCE {max(me.highest, 0)})"])
    vanished = " VANISHED" if me.resyncs else ""
    return random.choice(
        [
            *[f"{uid}STORE {some}{since} {sign}FLAGS{silent} ({flags})"] * 5,
            *[f"{uid}FETCH {some} {random.choice(['FLAGS', '(FLAGS MODSEQ)', 'BODY[TEXT]'])}"] * 3,
            "EXPUNGE",
            f"UID EXPUNGE {random.randint(1, 9)}:*",
            f"UID MOVE {random.randint(1, 9)} Trash",
            f"UID COPY {random.randint(1, 9)} {name}",
            f"{uid}SEARCH MODSEQ {max(me.highest, 1)}",
            f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {max(me.highest, 1)}{vanished})",
            f"APPEND {name} () {{12+}}\r\nx: y\r\n\r\nabcd",
            "NOOP",
        ]
    )


class Example:
    """A mailbox, its model, and its clients."""

    def __init__(self, harness: Harness, name: str, kinds: list[str]) -> None:
        self.harness, self.name, self.kinds = harness, name, kinds
        self.idle: set[int] = set()
        self.pruned = False

    async def begin(self) -> None:
        client = await self.harness.logged_in()
        await client.run(f"CREATE {self.name}".encode())
        lines = await client.run(f"STATUS {self.name} (UIDVALIDITY HIGHESTMODSEQ)".encode())
        words = re.findall(rb"\d+", lines[0].rpartition(b"(")[2])
        self.uidvalidity = int(words[0])
        self.truth = Truth(int(words[1]))
        client.session.connection_lost()
        self.clients = [
            Believer(self.truth, resyncs=kind in {"qresync", "uidonly"}, uid_only=kind == "uidonly")
            for kind in self.kinds
        ]
        for _ in range(6):
            await self.do_deliver(self.clients[0], None, frozenset())

    async def end(self) -> None:
        for me in self.clients:
            await self.ready(me)
            await me.run("NOOP")
            await self.learn(me)
            assert me.known == self.truth.flags
            me.check()
            if me.resyncs:
                me.leave()
                await self.come(me)
                assert me.known == self.truth.flags
            me.leave()

    # -- connections ---------------------------------------------------------------------------------------------

    async def ready(self, me: Believer) -> None:
        """It is connected, not idle, and knows UID and flags of all messages it was told of."""
        if me.client is None:
            await self.come(me)
        if id(me) in self.idle:
            self.idle.discard(id(me))
            assert me.client is not None
            me.client.send(b"DONE\r\n")
            await me.hear("IDLE", b"i")
            me.check()
        await self.learn(me)

    async def come(self, me: Believer) -> None:
        kind = self.kinds[self.clients.index(me)]
        me.client = await self.harness.logged_in()
        if me.uid_only:
            await me.client.run(b"ENABLE UIDONLY")
        if me.resyncs:
            await me.client.run(b"ENABLE QRESYNC")
        if not me.resyncs or not me.highest:
            me.messages, me.exists = [], 0
            await me.run(f"SELECT {self.name}{' (CONDSTORE)' if kind == 'condstore' else ''}")
            me._told = me.highest if kind != "plain" else 0
            me.select()
            await self.learn(me)
        else:
            await self.resync(me)

    async def resync(self, me: Believer) -> None:
        """SELECT with QRESYNC, then what is new: it knows all that there is."""
        known, since, client = me.known, me.highest, me.client
        assert client is not None
        asked = ""
        if known and since % 2:
            asked = f" {render(from_numbers(known))}"
        if known and since % 3 and max(known) <= me.complete and not me.uid_only:
            last = sorted(known)[-3:]
            asked += f" ({len(known) - len(last) + 1}:{len(known)} {','.join(map(str, last))})"
        client.send(f"x SELECT {self.name} (QRESYNC ({self.uidvalidity} {since}{asked}))\r\n".encode())
        lines = await whole_lines(client, b"x")
        assert lines[-1].startswith(b"x OK"), lines
        gone = {uid for line in lines if line.startswith(b"* VANISHED (EARLIER) ") for uid in numbers(line[21:])}
        assert not gone & self.truth.flags.keys()
        known = {uid: flags for uid, flags in known.items() if uid not in gone}
        lines += await client.run(f"UID FETCH {me.complete + 1}:* (FLAGS)".encode())
        known |= dict(filter(None, map(uid_and_flags, lines)))
        text = b"\r\n".join(lines)
        exists, highest = re.search(rb"\* (\d+) EXISTS", text), re.search(rb"\[HIGHESTMODSEQ (\d+)\]", text)
        assert exists is not None
        assert highest is not None
        assert known == self.truth.flags
        me.exists = int(exists[1])
        assert me.exists == len(known)
        me.select(int(highest[1]), known)

    async def learn(self, me: Believer) -> None:
        while not me.knows_all:
            if me.uid_only:
                await me.run(f"UID FETCH {me.complete + 1}:* (FLAGS)")
            else:
                await me.run("FETCH 1:* (UID FLAGS)")

    def chosen(self, me: Believer, first: int, last: int) -> list[int]:
        uids = sorted(me.uids)
        if not uids:
            return []
        first, last = sorted((first % len(uids), last % len(uids)))
        return uids[first : last + 1]

    def written(self, me: Believer, uids: list[int], verb: str, by_uid: bool) -> str:
        """A command's beginning, by number or by UID."""
        if by_uid or me.uid_only:
            return f"UID {verb} {uids[0]}:{uids[-1]}"
        return f"{verb} {me.uids.index(uids[0]) + 1}:{me.uids.index(uids[-1]) + 1}"

    async def round(self, random: Random) -> None:
        """All say a few things at once, some leave in the middle of the answers; then it is quiet, and all agree."""
        self.truth.unknown, self.truth.modseq = True, 2**63
        said: dict[int, list[str]] = {}
        channels = []
        for me in self.clients:
            assert me.client is not None
            channels.append(me.client.session.channel)
            said[id(me)] = [spoken(random, me, self.name) for _ in range(random.randint(1, 6))]
            lines = (f"t{at} {command}\r\n" for at, command in enumerate(said[id(me)]))
            me.client.send("".join(lines).encode())
        elsewhere = [
            asyncio.ensure_future(
                self.harness.expunge([random.randint(1, 9)], self.name)
                if random.random() < 0.6
                else self.harness.deliver(b"x: y\r\n\r\nabcd", self.name)
            )
            for _ in range(random.randint(0, 3))
        ]
        for me in random.sample(self.clients, len(self.clients)):
            for at, command in enumerate(said[id(me)]):
                before, exists = me.listed(), me.exists
                reply = await me.hear(command, b"t%d" % at, random.choice([*[None] * 12, 0, 1, 2]))
                if reply is None:
                    break
                # `1:*` where there was nothing; what has come meanwhile is announced even with the refusal.
                assert b" BAD " not in reply or not exists, reply
                assert b"SERVERBUG" not in reply
                me.reckon(command, before)
        await asyncio.gather(*elsewhere)
        await until(lambda: not any(channel.busy for channel in channels))  # what one has left may still be done
        self.truth.unknown = False
        self.truth.flags = await self.stored()
        for me in self.clients:
            if me.client is None:
                await self.come(me)
            await me.run("NOOP")
            await self.learn(me)
            assert me.known == self.truth.flags
            if me.resyncs:
                me.leave()
                await self.come(me)

    async def stored(self) -> dict[int, frozenset[str]]:
        """The mailbox as the store has it."""

        def read(rx: Rx) -> dict[int, frozenset[str]]:
            mailbox = mailboxes.by_name(rx, self.harness.inbox, self.name)
            assert mailbox is not None
            keywords = messages.keywords_of(rx, mailbox.id)
            rows = messages.load(rx, mailbox.id)
            return {uid: frozenset(names_of(mask, keywords)) for uid, mask, _ in rows}

        return await self.harness.db.read(read)

    # -- operations ----------------------------------------------------------------------------------------------

    async def do_deliver(self, me: Believer, cut: int | None, flags: frozenset[str]) -> None:
        mask = sum(SYSTEM_FLAGS[flag] for flag in flags if flag in SYSTEM_FLAGS)
        keywords = [flag for flag in flags if flag not in SYSTEM_FLAGS]
        self.truth.append([flags])
        await self.harness.deliver(b"x: y\r\n\r\nabcd", self.name, flags=mask, keywords=keywords)

    async def do_vanish(self, me: Believer, cut: int | None, at: int) -> None:
        if self.truth.flags:
            uid = sorted(self.truth.flags)[at % len(self.truth.flags)]
            self.truth.remove([uid])
            await self.harness.expunge([uid], self.name)

    async def do_append(self, me: Believer, cut: int | None, flags: frozenset[str]) -> None:
        self.truth.append([flags])
        await me.run(f"APPEND {self.name} ({' '.join(sorted(flags))}) {{12+}}\r\nx: y\r\n\r\nabcd", cut)

    async def do_store(
        self, me: Believer, cut: int | None, sign: str, silent: bool, by_uid: bool, flags: frozenset[str],
        first: int, last: int, back: int | None,
    ) -> None:  # fmt: skip
        uids = self.chosen(me, first, last)
        if not uids:
            return
        since = None if back is None else max(self.truth.modseq - back, 0)
        modifier = "" if since is None else f" (UNCHANGEDSINCE {since})"
        command = self.written(me, uids, "STORE", by_uid)
        before = me.listed()
        gone = any(uid not in self.truth.flags for uid in uids)
        there = [uid for uid in uids if uid in self.truth.flags]
        refused = self.truth.store(there, sign, flags, since)
        named = refused if command.startswith("UID") else [me.uids.index(uid) + 1 for uid in refused]
        reply = await me.run(
            f"{command}{modifier} {sign}FLAGS{'.SILENT' if silent else ''} ({' '.join(sorted(flags))})", cut
        )
        if reply is None:
            return
        assert me.modified == named
        failed = gone and not command.startswith("UID")
        assert reply.startswith(b"x NO [" if failed else b"x OK "), reply
        assert failed is (b"[EXPUNGEISSUED]" in reply or reply.startswith(b"x NO [MODIFIED"))
        me.reckon(f"{command} {sign}FLAGS{'.SILENT' if silent else ''} ({' '.join(sorted(flags))})", before)

    async def do_expunge(self, me: Believer, cut: int | None, of: tuple[int, int] | None) -> None:
        uids = sorted(me.uids) if of is None else self.chosen(me, *of)
        removed = self.truth.remove([uid for uid in uids if "\\Deleted" in self.truth.flags.get(uid, ())])
        if of is not None and not uids:
            return
        reply = await me.run("EXPUNGE" if of is None else f"UID EXPUNGE {uids[0]}:{uids[-1]}", cut)
        if reply is not None and removed and me.resyncs:
            assert reply.startswith(b"x OK [HIGHESTMODSEQ %d] " % self.truth.modseq)

    async def do_move(self, me: Believer, cut: int | None, by_uid: bool, first: int, last: int) -> None:
        uids = self.chosen(me, first, last)
        if uids:
            command = self.written(me, uids, "MOVE", by_uid)
            self.truth.remove(uids)
            await me.run(f"{command} Trash", cut)

    async def do_copy(self, me: Believer, cut: int | None, by_uid: bool, first: int, last: int) -> None:
        uids = self.chosen(me, first, last)
        if not uids:
            return
        whole = all(uid in self.truth.flags for uid in uids)
        if whole:
            self.truth.append([self.truth.flags[uid] for uid in uids])
        reply = await me.run(f"{self.written(me, uids, 'COPY', by_uid)} {self.name}", cut)
        assert reply is None or reply.startswith(b"x OK [COPYUID" if whole else b"x NO [EXPUNGEISSUED]")

    async def do_fetch(self, me: Believer, cut: int | None, items: str, first: int, last: int) -> None:
        uids = self.chosen(me, first, last)
        if uids:
            command = self.written(me, uids, "FETCH", False)
            if items == "BODY[TEXT]":
                self.truth.store(uids, "+", frozenset({"\\Seen"}), None)
            await me.run(f"{command} {items}", cut)

    async def do_search(self, me: Believer, cut: int | None, by_uid: bool, back: int) -> None:
        least = max(self.truth.modseq - back, 1)
        uids = [uid for uid in sorted(me.uids) if self.truth.changed.get(uid, 0) >= least]
        wanted = uids if by_uid or me.uid_only else [me.uids.index(uid) + 1 for uid in uids]
        highest = max((self.truth.changed[uid] for uid in uids), default=0)
        reply = await me.run(f"{'UID ' if by_uid or me.uid_only else ''}SEARCH MODSEQ {least}", cut)
        assert reply is None or me.found == (wanted, highest)

    async def do_noop(self, me: Believer, cut: int | None) -> None:
        await me.run("NOOP", cut)

    async def do_idle(self, me: Believer, cut: int | None) -> None:
        assert me.client is not None
        me.client.send(b"i IDLE\r\n")
        self.idle.add(id(me))

    async def do_missed(self, me: Believer, cut: int | None, back: int) -> None:
        if not me.resyncs:
            return
        since = max(self.truth.modseq - back, 1)
        counted = set(me.uids)
        reply = await me.run(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)", cut)
        if reply is not None:
            missed = {uid for uid, modseq in self.truth.gone.items() if modseq > since and uid not in counted}
            assert missed <= set(me.earlier)
            assert self.pruned or missed == set(me.earlier)

    async def do_close(self, me: Believer, cut: int | None) -> None:
        self.truth.remove([uid for uid in me.uids if "\\Deleted" in self.truth.flags.get(uid, ())])
        if await me.run("CLOSE", cut) is not None:
            me.leave()

    async def do_leave(self, me: Believer, cut: int | None) -> None:
        me.leave()

    async def do_prune(self, me: Believer, cut: int | None, keep: int) -> None:
        self.pruned = True
        await self.harness.prune(keep, self.name)

    async def do_restart(self, me: Believer, cut: int | None) -> None:
        for client in self.clients:
            if client.client is not None:
                if id(client) in self.idle:
                    client.overhear()
                    self.idle.discard(id(client))
                client.leave()
        await self.harness.restart()

"""What clients look for: SEARCH, SORT, THREAD, results that are saved or kept up to date, searches over mailboxes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.support.believer import numbers
from tests.support.model_client import Answer, Picture
from tests.support.model_mail import SORT_KEYS, Key, Mail, by_ordered_subject, in_order, random_key
from tests.support.model_messages import Messages


class Searches(Messages):
    """Commands that search."""

    def key(self, me: Picture, random: Random, *, numbers: bool = True) -> Key:
        box = me.box
        assert box is not None
        key = random_key(
            random, uid_only=me.uid_only or not numbers, uidnext=box.uidnext, exists=me.exists, modseq=box.modseq
        )
        if me.saved and random.random() < 0.3:
            saved, inner = set(me.saved), key
            key = Key(f"$ {inner.text}", lambda n, m: m.uid in saved and inner.holds(n, m), inner.numbers, inner.modseq)
        if key.modseq:
            me.enabled.add("CONDSTORE")
        return key

    async def do_search(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        key = self.key(me, random)
        by_uid = me.uid_only or random.random() < 0.6
        uids = self.matching(me, key)
        returns = [option for option in ("MIN", "MAX", "ALL", "COUNT", "SAVE") if random.random() < 0.35]
        partial = None
        if "ALL" not in returns and random.random() < 0.3:
            partial = sorted((random.randint(1, 5), random.randint(1, 5)))
            sign = random.choice(["", "-"])
            returns.append(f"PARTIAL {sign}{partial[0]}:{sign}{partial[1]}")
        extended = bool(returns) or random.random() < 0.3
        form = f"RETURN ({' '.join(returns)}) " if extended else ""
        number = {uid: uid if by_uid else at for at, uid in enumerate(sorted(me.uids), 1)}
        answer = await self.say(
            me, f"{'UID ' if by_uid else ''}SEARCH {form}{key.text}",
            "all" if by_uid and not key.numbers else "withhold",
        )  # fmt: skip
        found = [number[uid] for uid in uids]
        shown, pieces = found, found
        if partial is not None:
            first, last = partial
            pieces = [one for at, one in enumerate(found) if first <= (len(found) - at if sign else at + 1) <= last]
        if extended:
            everything = not returns or {"ALL", "COUNT"} & set(returns) or returns == ["SAVE"]
            if not everything:
                ends = [*found[:1]] * ("MIN" in returns) + [*found[-1:]] * ("MAX" in returns)
                shown = sorted({*ends, *(pieces if partial is not None else [])})
            if "SAVE" in returns:
                back = {value: uid for uid, value in number.items()}
                me.saved = [back[one] for one in shown]
        if not extended and not me.rev2:
            assert answer.found == found
        else:
            self.check_esearch(answer, returns or ["ALL"], found, pieces, by_uid)
        if key.modseq and shown:
            highest = max(box.mails[uid].modseq for uid, value in number.items() if value in shown)
            told = answer.found_modseq
            if told is None and answer.esearches:
                told = int(answer.esearches[0][1].get(b"MODSEQ", b"0"))
            assert told == highest or "SAVE" in returns

    @staticmethod
    def check_esearch(
        answer: Answer, returns: Sequence[str], found: list[int], pieces: list[int], by_uid: bool
    ) -> None:
        wanted = {name.split()[0] for name in returns} - {"SAVE"}
        if not wanted:
            assert not answer.esearches
            return
        [(_, data)] = answer.esearches
        assert data.get(b"UID", False) is by_uid
        expected: dict[bytes, Any] = {}
        if "COUNT" in wanted:
            expected[b"COUNT"] = b"%d" % len(found)
        if found and "MIN" in wanted:
            expected[b"MIN"] = b"%d" % found[0]
        if found and "MAX" in wanted:
            expected[b"MAX"] = b"%d" % found[-1]
        for name, value in expected.items():
            assert data.get(name) == value, (name, data, found)
        if "ALL" in wanted:
            assert numbers(data.get(b"ALL")) == found
        if "PARTIAL" in wanted:
            assert numbers(data[b"PARTIAL"][1]) == pieces

    async def do_sort(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        key = self.key(me, random)
        by_uid = me.uid_only or random.random() < 0.6
        names = random.sample(sorted(SORT_KEYS), random.choice([1, 2]))
        criteria = [random.choice(["", "", "REVERSE "]) + name for name in names]
        mails = [box.mails[uid] for uid in self.matching(me, key)]
        number = {uid: uid if by_uid else at for at, uid in enumerate(sorted(me.uids), 1)}
        found = [number[mail.uid] for mail in in_order(criteria, mails)]
        extended = random.random() < 0.3
        answer = await self.say(
            me,
            f"{'UID ' if by_uid else ''}SORT {'RETURN (ALL COUNT) ' if extended else ''}({' '.join(criteria)}) UTF-8"
            f" {key.text}",
            "all" if by_uid and not key.numbers else "withhold",
        )
        if extended:
            [(_, data)] = answer.esearches
            assert numbers(data.get(b"ALL")) == found, criteria
            assert int(data[b"COUNT"]) == len(found)
        else:
            assert answer.found == found, criteria

    async def do_thread(self, me: Picture, random: Random) -> None:
        box = await self.ready_in_mailbox(me, random)
        key = self.key(me, random)
        by_uid = me.uid_only or random.random() < 0.6
        uids = self.matching(me, key)
        algorithm = random.choice(["ORDEREDSUBJECT", "REFERENCES", "REFS"])
        number = {uid: uid if by_uid else at for at, uid in enumerate(sorted(me.uids), 1)}
        answer = await self.say(
            me, f"{'UID ' if by_uid else ''}THREAD {algorithm} UTF-8 {key.text}",
            "all" if by_uid and not key.numbers else "withhold",
        )  # fmt: skip
        [words] = [words for words in answer.lists if words[0] == b"THREAD"]
        threads = [flat(thread) for thread in words[1:]]
        assert sorted(one for thread in threads for one in thread) == [number[uid] for uid in uids]
        if algorithm == "ORDEREDSUBJECT":
            mails: list[Mail] = [box.mails[uid] for uid in uids]
            assert threads == [[number[mail.uid] for mail in thread] for thread in by_ordered_subject(mails)]

    async def do_context(self, me: Picture, random: Random) -> None:
        """A search that keeps telling, until it is cancelled."""
        await self.ready_in_mailbox(me, random)
        if me.contexts and random.random() < 0.3:
            tag = random.choice(sorted(me.contexts))
            del me.contexts[tag]
            await self.say(me, f'CANCELUPDATE "{tag}"')
            return
        key = self.key(me, random, numbers=False)
        if len(me.contexts) >= 3 or key.modseq or "$" in key.text:
            return
        found = self.matching(me, key)
        me.contexts[f"t{self.tag + 1}"] = key, True, found[:]
        answer = await self.say(me, f"UID SEARCH RETURN (UPDATE ALL) {key.text}")
        [(_, data)] = answer.esearches
        assert numbers(data.get(b"ALL")) == found

    async def do_multisearch(self, me: Picture, random: Random) -> None:
        await self.ready(me)
        boxes = [box for box in self.model.boxes.values() if not box.noselect]
        key = random_key(random, uid_only=True, uidnext=5, exists=0, modseq=1)
        if key.modseq:
            return
        counted = set(me.uids)
        answer = await self.say(me, f"ESEARCH IN (personal) RETURN (ALL COUNT) {key.text}")
        told = {}
        for _, data in answer.esearches:
            told[me.read_name(data[b"MAILBOX"])] = int(data[b"UIDVALIDITY"]), numbers(data.get(b"ALL"))
        wanted = {}
        for box in boxes:
            found = [uid for uid, mail in sorted(box.mails.items()) if key.holds(0, mail)]
            if box is me.box:  # as any search there, of the messages it was told of
                found = [uid for uid in found if uid in counted]
            if found:
                wanted[box.name] = box.uidvalidity, found
        assert {name: value for name, value in told.items() if value[1]} == wanted


def flat(thread: Any) -> list[int]:
    if isinstance(thread, list):
        return [number for part in thread for number in flat(part)]
    return [int(thread)]

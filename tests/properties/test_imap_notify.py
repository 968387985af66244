"""What NOTIFY tells of all mailboxes of an inbox, believed by a client that asks nothing, becomes the truth."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from gateway.imap import inbox_watch, notify, teller
from tests.support.believer import whole_lines
from tests.support.soak import examples
from tests.support.world import World
from tests.transcripts.harness import PATIENCE, Client, Harness

FIXTURE = [HealthCheck.function_scoped_fixture]
NAMES = ["a", "a/b", "a/b/c", "b", "b/x", "c", "Sent"]
FLAGS = ["\\Seen", "\\Flagged", "\\Deleted"]
ITEMS = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"
OTHERS = {
    "create": 3, "delete": 2, "rename": 4, "subscribe": 2, "append": 5, "store": 4, "expunge": 3, "copy": 2, "move": 2,
}  # fmt: skip
OWN = {"noop": 2, "idle": 3, "select": 3, "unselect": 1, "fetch": 2, **dict.fromkeys(OTHERS, 1)}

_LIST = re.compile(rb'\* LIST \(([^)]*)\) "/" (\S+?)(?: \("OLDNAME" \((\S+)\)\))?\Z')
_STATUS = re.compile(rb"\* STATUS (\S+) \(([^)]*)\)\Z")
_UIDVALIDITY = re.compile(rb"\* OK \[UIDVALIDITY (\d+)\]")
_NUMBER = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE)\Z")
_FETCH = re.compile(rb"\* (\d+) FETCH \((?:UID (\d+) )?FLAGS \(([^)]*)\)(?: MODSEQ \(\d+\))?\)\Z")
_VANISHED = re.compile(rb"\* VANISHED (\d+(?:[:,]\d+)*)\Z")


class Watcher:
    """Keeps what it is told: the counters of each mailbox, subscriptions, and the messages of the selected one."""

    def __init__(self, client: Client, items: str, *, delayed: bool) -> None:
        self.client = client
        self.items = items
        self.delayed = delayed
        self.status: dict[str, dict[str, int]] = {}
        self.subscribed: set[str] = set()
        self.selected = ""
        self.uidvalidity = 0
        """Of the selected mailbox, and of no other one of the inbox: its name may change unheard."""
        self.messages: list[tuple[int, frozenset[str]] | None] = []
        self.idle = False

    async def begin(self) -> None:
        await self.learn()
        scope = "selected-delayed" if self.delayed else "selected"
        events = "MessageNew MessageExpunge FlagChange"
        await self.run(
            f"NOTIFY SET STATUS ({scope} ({events.replace('New', 'New (uid flags)')}))"
            f" (personal ({events} MailboxName SubscriptionChange)) (subscribed (SubscriptionChange))"
        )

    async def learn(self) -> None:
        """By asking: how all mailboxes are now."""
        await self.run(f'LIST "" * RETURN (STATUS ({self.items}))')
        await self.run('LIST (SUBSCRIBED) "" *')

    async def run(self, command: str) -> bytes:
        await self.done()
        self.client.send(b"x " + command.encode() + b"\r\n")
        return await self.hear(command)

    async def hear(self, command: str) -> bytes:
        for line in (lines := await whole_lines(self.client, b"x")):
            self.believe(line, command)
        return lines[-1]

    async def begin_idle(self) -> None:
        if not self.idle:
            self.idle = True
            self.client.send(b"x IDLE\r\n")

    async def done(self) -> None:
        if self.idle:
            self.idle = False
            self.client.send(b"DONE\r\n")
            await self.hear("IDLE")

    def overhear(self) -> None:
        """What came without a command. Literals do not come, for none was asked for."""
        *lines, rest = bytes(self.client.received).split(b"\r\n")
        self.client.received[:] = rest
        for line in lines:
            self.believe(line, "IDLE" if self.idle else "")

    def believe(self, line: bytes, command: str) -> None:
        if line.startswith(b"* OK [CLOSED]"):  # what came before was of the other mailbox
            self.forget_messages()
        elif match := _UIDVALIDITY.match(line):
            self.uidvalidity = int(match[1])
        elif match := _LIST.match(line):
            self._listed(match[1].decode().split(), match[2].decode(), (match[3] or b"").decode())
        elif match := _STATUS.match(line):
            words = match[2].decode().split()
            pairs = zip(words[::2], words[1::2], strict=True)
            found = {name: int(value) for name, value in pairs if name in self.items.split()}
            self.status.setdefault(match[1].decode(), {}).update(found)
        elif match := _NUMBER.match(line):
            number = int(match[1])
            if match[2] == b"EXISTS":
                assert number >= len(self.messages)
                self.messages += [None] * (number - len(self.messages))
            else:
                assert not command.startswith("FETCH"), "EXPUNGE while numbers are in use"
                assert not (self.delayed and not command), "EXPUNGE is to wait for a command"
                del self.messages[number - 1]
        elif match := _FETCH.match(line):
            number, uid = int(match[1]), int(match[2] or 0)
            before = self.messages[number - 1]
            if uid:
                assert before is None or before[0] == uid, "a number that means another message"
                self.messages[number - 1] = (uid, frozenset(match[3].decode().split()))
        else:
            assert not _VANISHED.match(line)

    def _listed(self, marks: list[str], name: str, old: str) -> None:
        if old and old != "INBOX":
            self.status.pop(name, None)
            self.moved(old, name)
        if "\\NonExistent" in marks or "\\Noselect" in marks:
            self.status.pop(name, None)
        else:
            self.status.setdefault(name, {})
        (self.subscribed.add if "\\Subscribed" in marks else self.subscribed.discard)(name)

    def moved(self, old: str, new: str) -> None:
        for name in [name for name in self.status if name == old or name.startswith(old + "/")]:
            before = self.status.pop(name)
            now = new + name[len(old) :]
            there = self.status.get(now, {})  # STATUS may have come before the rename's OK, or is another mailbox's
            same = not before or before.get("UIDVALIDITY") == there.get("UIDVALIDITY")
            self.status[now] = before | there if same else before
        if self.selected == old or self.selected.startswith(old + "/"):
            self.selected = new + self.selected[len(old) :]

    def forget_messages(self, selected: str = "") -> None:
        self.selected = selected
        self.messages = []


@given(
    delayed=st.booleans(),
    condstore=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(5, 40),
    page=st.sampled_from([1, 2, 4000]),
)
@settings(max_examples=examples(60), suppress_health_check=FIXTURE)
def test_the_picture_converges(
    world: World, monkeypatch: pytest.MonkeyPatch, delayed: bool, condstore: bool, seed: int, count: int, page: int
) -> None:
    """Small pages, so that things happen between two of them."""
    monkeypatch.setattr(teller, "TELL_PAGE", page)
    monkeypatch.setattr(notify, "NEWS_PAGE", page)
    monkeypatch.setattr(inbox_watch, "NEWS_LOOK", page)
    world.runner.run(play(world, delayed, condstore, Random(seed), count))


async def play(world: World, delayed: bool, condstore: bool, random: Random, count: int) -> None:
    example = Example(world.harness, await world.inbox(), delayed, condstore, random)
    await example.begin()
    for _ in range(count):
        await example.step()
    await example.end()


class Example:
    def __init__(self, harness: Harness, address: str, delayed: bool, condstore: bool, random: Random) -> None:
        self.harness, self.address, self.random = harness, address, random
        self.delayed, self.condstore = delayed, condstore
        self.items = ITEMS + " HIGHESTMODSEQ" * condstore

    async def begin(self) -> None:
        self.other = await self.harness.logged_in(user=self.address)
        self.own = await self.come()

    async def come(self) -> Watcher:
        client = await self.harness.logged_in(user=self.address)
        watcher = Watcher(client, self.items, delayed=self.delayed)
        if self.condstore:
            await watcher.run("ENABLE CONDSTORE")
        await watcher.begin()
        return watcher

    async def step(self) -> None:
        mine = self.random.random() < 0.3
        table = OWN if mine else OTHERS
        operation = self.random.choices(list(table), list(table.values()))[0]
        note(f"{'own' if mine else 'other'} {operation}")
        if self.random.random() < 0.3:
            await asyncio.sleep(self.random.choice([0, 0, 0.003]))
        if self.own.client.closed:  # its mailbox was deleted
            self.own = await self.come()
        if mine:
            try:
                await self.mine(operation)
            except AssertionError:
                if not self.own.client.closed:  # by BYE, for its mailbox was deleted just before
                    raise
        else:
            await self.theirs(operation)
        self.own.overhear()

    def name(self, *, inbox: bool = True) -> str:
        return self.random.choice([*NAMES, "INBOX"] if inbox else NAMES)

    async def run(self, command: str) -> list[bytes]:
        """A command of the other client."""
        self.other.send(b"x " + command.encode() + b"\r\n")
        return await whole_lines(self.other, b"x")

    def command(self, operation: str) -> list[str]:
        """The commands of an operation; those with a mailbox selected come behind its SELECT."""
        name, uid = self.name(), self.random.randrange(1, 6)
        flag, sign = self.random.choice(FLAGS), self.random.choice("+-")
        if operation == "create":
            return [f"CREATE {self.name(inbox=False)}"]
        if operation == "delete":
            return [f"DELETE {self.name(inbox=False)}"]
        if operation == "rename":
            return [f"RENAME {self.name(inbox=self.random.random() < 0.1)} {self.name(inbox=False)}"]
        if operation == "subscribe":
            return [f"{self.random.choice(['', 'UN'])}SUBSCRIBE {name}"]
        if operation == "append":
            return [f"APPEND {name} {self.random.choice(['', '(' + flag + ') '])}{{1+}}\r\nx"]
        done = {
            "store": [f"UID STORE {uid}:{uid + 1} {sign}FLAGS ({flag})"],
            "expunge": [f"UID STORE {uid} +FLAGS (\\Deleted)", "EXPUNGE"],
            "copy": [f"UID COPY {uid} {self.name()}"],
            "move": [f"UID MOVE {uid} {self.name()}"],
        }[operation]
        return [f"SELECT {name}", *done]

    async def theirs(self, operation: str) -> None:
        for command in self.command(operation):
            if not (await self.run(command))[-1].startswith(b"x OK"):
                break
        await self.run("UNSELECT")  # or it would end with its mailbox

    async def mine(self, operation: str) -> None:
        own = self.own
        if operation == "noop":
            await own.run("NOOP")
        elif operation == "idle":
            await own.begin_idle()
        elif operation == "unselect":
            await own.run("UNSELECT")
            own.forget_messages()
        elif operation == "fetch":
            if own.selected and own.messages:
                await own.run("FETCH 1:* (UID FLAGS)" if self.delayed else "UID FETCH 1:* FLAGS")
        else:
            for command in self.command("store" if operation == "select" else operation):
                words = command.split()
                if words[0] == "SELECT":
                    await own.done()
                    own.overhear()
                    answer = await own.run(command)
                    if answer.startswith(b"x OK"):
                        own.selected = words[1]
                        await own.run("UID FETCH 1:* FLAGS")
                    if operation == "select":
                        return
                else:
                    answer = await own.run(command)
                if not answer.startswith(b"x OK"):
                    break
                self.done(words)
                if words[0] in {"CREATE", "RENAME"}:
                    # Parents were made, unless they were there as \\Noselect, which what was renamed may be too:
                    # nothing else tells which.
                    parts = words[-1].split("/")
                    for depth in range(1, len(parts) + (words[0] == "RENAME")):
                        await own.run(f'LIST "" {"/".join(parts[:depth])} RETURN (SUBSCRIBED)')

    def done(self, words: list[str]) -> None:
        """The client knows what its own commands have done to names."""
        own = self.own
        if words[0] == "CREATE" or words[0] == "RENAME":
            name = words[-1]
            if words[0] == "RENAME" and words[1] != "INBOX":
                own.moved(words[1], name)
            own.status.setdefault(name, {})
        elif words[0] == "DELETE":
            own.status.pop(words[1], None)
            if words[1] == own.selected:
                own.forget_messages()
        elif words[0] == "SUBSCRIBE":
            own.subscribed.add(words[1])
        elif words[0] == "UNSUBSCRIBE":
            own.subscribed.discard(words[1])

    async def end(self) -> None:
        if self.own.client.closed:
            self.own = await self.come()
        own = self.own
        truth = Watcher(await self.harness.logged_in(user=self.address), self.items, delayed=False)
        await truth.learn()
        messages: list[tuple[int, frozenset[str]] | None] = []
        if selected := self.selected_in(truth.status):
            await truth.run(f"EXAMINE {selected}")
            await truth.run("UID FETCH 1:* FLAGS")
            messages = truth.messages
        truth.client.session.connection_lost()
        if self.random.random() < 0.5 or (self.delayed and not own.idle):
            try:
                await own.run("NOOP")
            except AssertionError:
                if not own.client.closed:
                    raise
        try:
            async with asyncio.timeout(PATIENCE):
                while self.own.client.closed or self.differs(truth.status, truth.subscribed, messages):
                    if self.own.client.closed:
                        self.own, messages = await self.come(), []
                    self.own.overhear()
                    await asyncio.sleep(0)
        except TimeoutError:
            pytest.fail(self.differs(truth.status, truth.subscribed, messages), pytrace=False)
        self.own.client.session.connection_lost()
        self.other.session.connection_lost()

    def selected_in(self, status: dict[str, dict[str, int]]) -> str:
        """The name that the client's selected mailbox has now; it may not have heard of it yet."""
        if not self.own.selected:
            return ""
        named = {counters["UIDVALIDITY"]: name for name, counters in status.items()}
        return named.get(self.own.uidvalidity, "")

    def differs(
        self,
        status: dict[str, dict[str, int]],
        subscribed: set[str],
        messages: list[tuple[int, frozenset[str]] | None],
    ) -> str:
        own = self.own
        selected = self.selected_in(status)
        known = {name: counters for name, counters in own.status.items() if name != selected}
        wanted = {name: counters for name, counters in status.items() if name != selected}
        if known != wanted or own.status.keys() != status.keys():
            wrong = [name for name in {*own.status, *status} if own.status.get(name) != status.get(name)]
            return "; ".join(f"{name}: {own.status.get(name)} but is {status.get(name)}" for name in wrong)
        if own.subscribed != subscribed:
            return f"{own.subscribed} but is {subscribed}"
        # What it has appended itself is not fetched for it.
        if len(own.messages) != len(messages) or any(
            mine is not None and mine != true for mine, true in zip(own.messages, messages, strict=True)
        ):
            return f"{own.messages} but is {messages}"
        return ""

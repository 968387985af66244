"""Sessions against hostile octets, and two clients against a model that is only a dictionary."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.imap import teller
from tests.support.soak import examples
from tests.support.world import World
from tests.transcripts.harness import Client

FIXTURE = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def world_settings() -> dict[str, object]:
    return {"max_message_size": 10_000}


# -- random octets -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *(b"a ", b"b ", b"\r\n", b"\n", b"NOOP", b"LOGIN a@example.org full", b"SELECT INBOX", b"EXAMINE Trash"),
        *(b"FETCH 1 ", b"UID ", b"STORE 1:* +FLAGS ", b"(\\Seen)", b"BODY[]", b"ENVELOPE", b"SEARCH ", b"LOGOUT"),
        *(b"BODY[1.2.HEADER.FIELDS (x)]<0.5>", b"OR SEEN SUBJECT x", b"APPEND INBOX {5+}\r\nhello\r\n", b"EXPUNGE"),
        *(b"APPEND INBOX {5}\r\n", b"{3}\r\n", b"{3+}\r\nabc", b"~{2}", b"IDLE\r\n", b"DONE\r\n", b"*\r\n", b"CLOSE"),
        *(b"AUTHENTICATE PLAIN\r\n", b"COPY 1:* Trash", b"MOVE 1:* INBOX", b"CREATE x", b"DELETE x", b"STARTTLS"),
        *(b"RENAME INBOX y", b'LIST "" *', b'"', b"\\", b"(", b")", b"\0", b"\xff\xfe", b"99999999999999999999"),
        *(b"1:*", b"*", b"ID NIL", b"STATUS INBOX (MESSAGES)"),
    ]
)
LINE_START = re.compile(rb"\* |\+ |[^ \x00-\x1f]+ (OK|NO|BAD)[ ]|\Z")


@given(
    pieces=st.lists(st.one_of(WORDS, st.binary(max_size=12)), max_size=40),
    cuts=st.lists(st.integers(1, 30), max_size=8),
    logged_in=st.booleans(),
)
@settings(max_examples=examples(150), suppress_health_check=FIXTURE)
def test_random_octets_never_break_a_session(
    sqlite_world: World, pieces: list[bytes], cuts: list[int], logged_in: bool
) -> None:
    async def example() -> bytes:
        client = await sqlite_world.harness.logged_in() if logged_in else sqlite_world.harness.connect()
        client.writes.clear()
        data, at = b"".join(pieces), 0
        for cut in [*cuts, len(data)]:
            if not client.closed:
                client.send(data[at : at + cut])
            at += cut
        await client.settle()
        client.session.connection_lost()
        await client.settle()
        assert not client.session.channel.busy
        return b"".join(client.writes)

    answered = sqlite_world.runner.run(example())
    assert b"SERVERBUG" not in answered
    assert b"Traceback" not in answered
    assert not sqlite_world.harness.watch.ends
    if b"FETCH (" not in answered:  # a literal's octets are no lines
        assert answered == b"" or answered.endswith(b"\r\n")
        for line in answered.split(b"\r\n"):
            assert LINE_START.match(line), line


# -- two clients and a model ----------------------------------------------------------------------------------------

FLAGS = ["\\Seen", "\\Deleted", "\\Flagged", "work"]
OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.sets(st.sampled_from(FLAGS))),
    st.tuples(
        *(st.just("store"), st.sampled_from(["", "+", "-"]), st.booleans(), st.booleans()),
        *(st.sets(st.sampled_from(FLAGS)), st.integers(0, 10), st.integers(0, 10)),
    ),
    st.tuples(st.just("expunge")),
    st.tuples(st.just("move"), st.booleans(), st.integers(0, 10), st.integers(0, 10)),
    st.tuples(st.just("copy"), st.integers(0, 10), st.integers(0, 10)),
    st.tuples(st.just("noop")),
    st.tuples(st.just("fetch"), st.integers(0, 10)),
)
FETCHED = re.compile(rb"\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))?\)\Z")


class Believer:
    """Believes each response: a list of [uid or None, flags or None]."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.messages: list[list[object]] = []

    async def run(self, command: str) -> bytes:
        lines = await self.client.run(command.encode())
        for line in lines[:-1]:
            words = line.split(b" ", 2)
            if words[2:3] == [b"EXISTS"]:
                assert int(words[1]) >= len(self.messages)
                while len(self.messages) < int(words[1]):
                    self.messages.append([None, None])
            elif words[2:3] == [b"EXPUNGE"]:
                assert not command.startswith(("FETCH", "STORE")), "EXPUNGE while numbers are in use"
                del self.messages[int(words[1]) - 1]
            elif match := FETCHED.match(line):
                number, uid, flags = match.groups()
                message = self.messages[int(number) - 1]
                if uid is not None:
                    assert message[0] in (None, int(uid))
                    message[0] = int(uid)
                if flags is not None:
                    message[1] = frozenset(flags.decode().split())
        return lines[-1]

    async def learn(self) -> None:
        """UIDs of what is new."""
        while any(uid is None or flags is None for uid, flags in self.messages):
            await self.run("FETCH 1:* (UID FLAGS)")


@given(
    operations=st.lists(st.tuples(st.integers(0, 1), OPERATIONS), min_size=5, max_size=30),
    page=st.sampled_from([1, 2, 4000]),
)
@settings(max_examples=examples(150), suppress_health_check=FIXTURE)
def test_two_clients_agree_with_the_model(sqlite_world: World, operations: list[tuple[int, tuple]], page: int) -> None:  # type: ignore[type-arg]
    sqlite_world.monkeypatch.setattr(teller, "TELL_PAGE", page)
    sqlite_world.runner.run(two_clients(sqlite_world, operations))


def written(known: list[object], uids: list[int], by_uid: bool) -> str:
    if by_uid:
        return f"{uids[0]}:{uids[-1]}"
    return f"{known.index(uids[0]) + 1}:{known.index(uids[-1]) + 1}"


async def two_clients(world: World, operations: list[tuple[int, tuple]]) -> None:  # type: ignore[type-arg]
    name = f"box{next(world.number)}"
    clients = [Believer(await world.harness.logged_in()) for _ in range(2)]
    await clients[0].run(f"CREATE {name}")
    truth: dict[int, frozenset[str]] = {uid: frozenset() for uid in range(1, 5)}
    next_uid = 5
    for _ in truth:
        await world.harness.deliver(b"abcd", name)
    for client in clients:
        await client.run(f"SELECT {name}")
    for which, (kind, *how) in operations:
        me = clients[which]
        await me.learn()
        known = [message[0] for message in me.messages]

        def chosen(first: int, last: int, known: list[object] = known) -> list[int]:
            if not known:
                return []
            first, last = sorted((first % len(known), last % len(known)))
            return known[first : last + 1]  # type: ignore[return-value]

        if kind == "append":
            me.client.send(f"y APPEND {name} ({' '.join(sorted(how[0]))}) {{4+}}\r\nabcd\r\n".encode())
            for line in await me.client.until(b"y"):
                if line.endswith(b" EXISTS"):
                    while len(me.messages) < int(line.split()[1]):
                        me.messages.append([None, None])
                elif line.endswith(b" EXPUNGE"):
                    del me.messages[int(line.split()[1]) - 1]
                elif match := FETCHED.match(line):
                    me.messages[int(match[1]) - 1][1] = frozenset(match[3].decode().split())
            truth[next_uid] = frozenset(how[0])
            next_uid += 1
        elif kind == "store":
            sign, silent, by_uid, flags, first, last = how
            uids = chosen(first, last)
            if not uids:
                continue
            numbers = written(known, uids, by_uid)
            dot = ".SILENT" if silent else ""
            command = f"{'UID ' if by_uid else ''}STORE {numbers} {sign}FLAGS{dot} ({' '.join(sorted(flags))})"
            before = {uid: truth.get(uid) for uid in uids}
            reply = await me.run(command)
            for uid in uids:
                if uid in truth:
                    old = truth[uid]
                    truth[uid] = frozenset(flags) if not sign else old | flags if sign == "+" else old - flags
            gone = any(before[uid] is None for uid in uids)
            assert reply.startswith(b"x NO [EXPUNGEISSUED]" if gone and not by_uid else b"x OK")
            if silent:  # the client knows what it has done
                for message in me.messages:
                    if message[0] in uids and message[0] in truth:
                        message[1] = truth[message[0]]  # type: ignore[index]
        elif kind == "expunge":
            doomed = [uid for uid in known if "\\Deleted" in truth.get(uid, ())]  # type: ignore[call-overload]
            await me.run("EXPUNGE")
            for uid in doomed:
                del truth[uid]  # type: ignore[arg-type]
        elif kind == "move":
            by_uid, first, last = how
            uids = chosen(first, last)
            if uids:
                await me.run(f"{'UID ' if by_uid else ''}MOVE {written(known, uids, by_uid)} Trash")
                for uid in uids:
                    truth.pop(uid, None)
        elif kind == "copy":
            uids = chosen(*how)
            if uids:
                reply = await me.run(f"UID COPY {uids[0]}:{uids[-1]} {name}")
                if all(uid in truth for uid in uids):
                    assert reply.startswith(b"x OK [COPYUID")
                    for uid in uids:
                        truth[next_uid] = truth[uid]
                        next_uid += 1
                else:
                    assert reply.startswith(b"x NO [EXPUNGEISSUED]")
        elif kind == "noop":
            await me.run("NOOP")
        elif known:
            await me.run(f"FETCH {how[0] % len(known) + 1} FLAGS")
    for client in clients:
        await client.run("NOOP")
        await client.learn()
        assert client.messages == [[uid, flags] for uid, flags in sorted(truth.items())]
        client.client.session.connection_lost()
        await client.client.settle()

"""Runs the `*.txt` beside it: what clients send and, octet for octet, what the server answers.

    # a comment
    ! login 1 read              connection 1 logs in with a key that may only read (see harness.KEYS)
    C1: a SELECT INBOX          sent with CRLF; `C1> "octets"` sends a Python literal as it is
    S1: * 0 EXISTS              the next line must be this; `...` stands for any text, `{id}` for a value that is the
                                same wherever `{id}` stands, and another one than that of any other name; in what is
                                sent it stands for that value
    S1> "octets"                the next octets, as a Python literal
    S1* a OK ...                skip lines until one matches
    S1/ * OK [...               skip lines as long as they match
    S1-                         nothing more has come
    S1!                         the connection is closed, nothing more has come

A connection is opened, and its greeting read, when it is first used. Before each `C` line everything the server sent
on that connection must have been named. Directives: see `Run`;
`! settings name=value …` as the first line gives the server other settings.
"""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
from base64 import b64decode, b64encode
from datetime import datetime
from pathlib import Path

import pytest

from gateway.delivery.scheduler import Scheduler
from gateway.model.flags import SYSTEM_FLAGS
from gateway.store import queue_admin
from gateway.store.quota import Limits
from gateway.wire import sasl_client

from .harness import BINDINGS, NOW, Account, Client, Harness, template
from .messages import ALL

HERE = Path(__file__).parent
LINE = re.compile(r"([CS])(\d)([:>*/!-])(?: (.*))?\Z")


class Run:
    """One transcript on one harness."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.clients: dict[str, Client] = {}
        self.values: dict[str, str] = {}
        self.account = Account()

    async def client(self, number: str) -> Client:
        if number not in self.clients:
            self.clients[number] = self.harness.connect()
            greeting = await self.clients[number].line()
            assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 "), greeting
        return self.clients[number]

    async def step(self, line: str) -> None:
        if line.startswith("! "):
            word, *words = shlex.split(line[2:], posix=False)
            await getattr(self, f"do_{word}")(*words)
            return
        match = LINE.match(line)
        assert match, f"not a transcript line: {line!r}"
        side, number, mark, text = match.groups()
        client = await self.client(number)
        if side == "C":
            await client.settle()
            assert not client.received, f"unexpected {bytes(client.received)!r}"
            text = re.sub(r"\{([a-z]+)\}", lambda found: self.values.get(found[1], found[0]), text or "")
            client.send(ast.literal_eval(f"b{text}") if mark == ">" else text.encode() + b"\r\n")
        elif mark == ">":
            wanted = ast.literal_eval(f"b{text}")
            got = await client.octets(len(wanted))
            if got != wanted:
                raise AssertionError(f"got {got!r}")
        elif mark == ":":
            line_found = (await client.line()).decode("utf-8", "surrogateescape")
            if not matches(text or "", line_found, self.values):
                raise AssertionError(f"got {line_found!r}")
        elif mark == "/":
            while matches(text, (skipped := await client.line()).decode("utf-8", "surrogateescape"), self.values):
                pass
            client.received[:0] = skipped + b"\r\n"
        elif mark == "*":
            while not matches(text, (await client.line()).decode("utf-8", "surrogateescape"), self.values):
                pass
        else:
            await client.settle()
            if mark == "!":
                await client.wait_closed()
            assert not client.received, f"unexpected {bytes(client.received)!r}"

    # Directives

    async def do_connect(self, number: str, *how: str) -> None:
        """A connection in the clear, with `starttls` offered or not; its greeting is left to be named."""
        self.clients[number] = self.harness.connect(secure="plain" not in how, starttls="starttls" in how)

    async def do_login(self, number: str, key: str = "full", user: str = "a@example.org") -> None:
        await (await self.client(number)).login(key, user)

    async def do_scram(self, number: str, tag: str, key: str, user: str = "a@example.org", *how: str) -> None:
        """SCRAM up to its tagged answer, which is left to be named.

        `bind` uses -PLUS and a type of `harness.BINDINGS`, `other` data of another connection, `hidden` is a client
        that can bind and saw no -PLUS, `reply` one that sends its first message only when asked.
        """
        kind = next((word for word in how if word in BINDINGS), "")
        binding = (kind, b"other" if "other" in how else BINDINGS[kind]) if kind else None
        exchange = sasl_client.scram_sha_256(user, key, b"nonce", binding=binding, can_bind="hidden" in how)
        client, name = await self.client(number), "SCRAM-SHA-256-PLUS" if binding else "SCRAM-SHA-256"
        response = next(exchange)
        if "reply" in how:
            client.send(f"{tag} AUTHENTICATE {name}\r\n".encode())
            assert await client.line() == b"+ "
        else:
            client.send(f"{tag} AUTHENTICATE {name} ".encode())
        while response is not None:
            client.send(b64encode(response) + b"\r\n")
            await client.settle()
            if not client.received.startswith(b"+ "):
                break
            response = exchange.send(b64decode((await client.line())[2:], validate=True))

    async def do_compress(self, number: str) -> None:
        """The client deflates from here on, as the server does."""
        self.clients[number].compress()

    async def do_expand(self, number: str) -> None:
        self.clients[number].expand()

    async def do_deliver(self, message: str, mailbox: str = "INBOX", *flags: str) -> None:
        mask = sum(SYSTEM_FLAGS[flag] for flag in flags if flag in SYSTEM_FLAGS)
        keywords = [flag for flag in flags if flag not in SYSTEM_FLAGS]
        octets = ALL[message] if message in ALL else b"Subject: big\r\n\r\n" + b"x" * int(message)
        await self.harness.deliver(octets, mailbox, flags=mask, keywords=keywords)

    async def do_expunge(self, uid: str, mailbox: str = "INBOX") -> None:
        await self.harness.expunge([int(uid)], mailbox)

    async def do_prune(self, keep: str, mailbox: str = "INBOX") -> None:
        """Only the last `keep` expunges of a mailbox stay on record."""
        await self.harness.prune(int(keep), mailbox)

    async def do_on_access(self) -> None:
        """Readers wait for a look at an account, which `finds` and `loses` what the lines with these words say."""
        self.account = self.harness.look_on_access()

    async def do_finds(self, message: str, mailbox: str = "INBOX") -> None:
        self.account.finds.append(lambda: self.harness.deliver(ALL[message], mailbox))

    async def do_loses(self, uid: str) -> None:
        self.account.finds.append(lambda: self.harness.expunge([int(uid)], "INBOX"))

    async def do_flags(self, uid: str, flag: str) -> None:
        self.account.finds.append(lambda: self.harness.flag([int(uid)], SYSTEM_FLAGS[flag]))

    async def do_looked(self, *names: str) -> None:
        """At these mailboxes, `*` for all, since the last such line."""
        boxes = await self.harness.names()
        found = ["*" if number is None else boxes[number] for number in self.account.looked]
        self.account.looked.clear()
        assert found == list(names), f"got {found}"

    async def do_hold(self) -> None:
        """Looks last until `unhold`."""
        self.account.open.clear()

    async def do_unhold(self) -> None:
        self.account.open.set()

    async def do_restart(self) -> None:
        """The server stops, which ends all connections, and starts again on the same store."""
        await self.harness.restart()
        self.clients.clear()

    async def do_quota(self, *limits: str) -> None:
        """`storage=2048` (octets), `messages=3`, `mailboxes=7`; what is not named is not limited."""
        found = dict(word.split("=") for word in limits)
        names = ("storage", "messages", "mailboxes")
        await self.harness.limit(Limits(*(int(found[name]) if name in found else None for name in names)))

    async def do_delete(self, mailbox: str) -> None:
        await self.harness.delete_mailbox(mailbox)

    async def do_submit(self, key: str, message: str, *recipients: str) -> None:
        await self.harness.submit(key, ALL[message], recipients)

    async def do_waiting(self, *wanted: str) -> None:
        """Each recipient there is, `address state` or `address state:reason`, in order."""
        pairs = [f"{address} {state}" for address, state in zip(wanted[::2], wanted[1::2], strict=True)]
        found = await self.harness.waiting()
        if found != pairs:
            raise AssertionError(f"got {found}")

    async def do_due(self, moment: str, *how: str) -> None:
        """At that time of the clock scheduled drafts are looked for. `revoked`: their key is not there."""
        if "revoked" not in how:
            await self.harness.store_key()
        seconds = datetime.fromisoformat(moment).timestamp()
        await Scheduler(self.harness.db, lambda: seconds).send_due()

    async def do_release(self) -> None:
        """An administrator lets everything go."""
        rows = await self.harness.all_recipients()
        await self.harness.db.write(lambda tx: queue_admin.release(tx, rows, NOW))

    async def do_cancel(self) -> None:
        rows = await self.harness.all_recipients()
        await self.harness.db.write(lambda tx: queue_admin.cancel(tx, rows, NOW))

    async def do_end(self, *reason: str) -> None:
        """The key is revoked: every live session ends."""
        for end in list(self.harness.watch.ends):
            end(" ".join(reason))

    async def do_advance(self, seconds: str) -> None:
        self.harness.timers.advance(float(seconds))

    async def do_disconnect(self, number: str) -> None:
        self.clients[number].session.connection_lost()

    async def do_abort(self, number: str) -> None:
        assert self.clients[number].aborted

    async def do_tls(self, number: str) -> None:
        assert self.clients[number].tls_started


def matches(pattern: str, line: str, values: dict[str, str]) -> bool:
    """`...` is any text, `{name}` a value kept in `values`: the same each time, and another one for each name."""
    parts = []
    fresh: set[str] = set()
    for part in re.split(r"(\.\.\.|\{[a-z]+\})", pattern):
        name = part[1:-1] if part.startswith("{") and part[1:-1].isalpha() else ""
        if name in values:
            parts.append(re.escape(values[name]))
        elif name:
            parts.append(f"(?P={name})" if name in fresh else rf"(?P<{name}>[\w-]+)")
            fresh.add(name)
        else:
            parts.append(".*" if part == "..." else re.escape(part))
    found = re.fullmatch("".join(parts), line)
    if found is None or not values.keys().isdisjoint(found.groupdict()):
        return False
    known = [*values.values(), *found.groupdict().values()]
    if len(set(known)) < len(known):
        return False
    values.update(found.groupdict())
    return True


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty PostgreSQL store; none for the harness's own on SQLite."""
    if request.param == "sqlite":
        template()
        return ""
    found: str = request.getfixturevalue("postgresql_url")
    return found


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path, tmp_path: Path, url: str) -> None:
    asyncio.run(play(path.name, path.read_text("utf-8").splitlines(), tmp_path, url))


async def play(name: str, lines: list[str], directory: Path, url: str) -> None:
    settings: dict[str, object] = {"max_message_size": 100_000}
    if lines[0].startswith("! settings "):
        given = (word.split("=") for word in lines[0].split()[2:])
        settings |= {name: ast.literal_eval(value) for name, value in given}
        lines = ["", *lines[1:]]
    async with Harness(directory, url=url, **settings) as harness:
        run = Run(harness)
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            failed = ""
            try:
                await run.step(line)
            except (AssertionError, TimeoutError) as error:
                failed = f"{name}:{number}: {line}\n{type(error).__name__}: {error}"
            if failed:
                pytest.fail(failed, pytrace=False)
        for key, client in run.clients.items():
            await client.settle()
            assert not client.received, f"{name}: connection {key} ends with {bytes(client.received)!r}"

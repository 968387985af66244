"""Random transactions beside a model of a few lines: which command has which reply, and which messages come of them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.smtp_kit import USER, Certificates, certificates, door, run

MOST = 3_000
BODIES = ("7BIT", "8BITMIME", "BINARYMIME")
PIECES = (
    b"", b"a", b"line\r\n", b"\r", b"\n", b"\r\n", b"\r\n.\r\n", b".\r\n", b"\0", b"\r\n\r\n", b"RSET\r\nQUIT\r\n",
    b"\xff" * 900,
)  # fmt: skip
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")))


@dataclass
class Model:
    """What a session knows of its transaction; each method is given a command and returns the code of its reply."""

    body: str | None = None
    recipients: int = 0
    chunks: bytes | None = None
    spoilt: bool = False
    accepted: list[bytes] = field(default_factory=list)

    def reset(self) -> int:
        self.body, self.recipients, self.chunks, self.spoilt = None, 0, None, False
        return 250

    def mail(self, body: str) -> int:
        if self.spoilt or self.body is not None:
            return 503
        self.body = body
        return 250

    def rcpt(self, known: bool) -> int:
        if self.body is None or self.spoilt or self.chunks is not None:
            return 503
        self.recipients += known
        return 250 if known else 550

    def data(self) -> int:
        if self.spoilt or self.body is None:
            return 503
        if not self.recipients:
            return 554
        if self.chunks is None and self.body == "BINARYMIME":
            self.spoilt = True
        return 503 if self.chunks is not None or self.spoilt else 354

    def message(self, octets: bytes) -> int:
        self.reset()
        if BARE.search(octets):
            return 550
        self.accepted.append(octets)
        return 250

    def bdat(self, piece: bytes, last: bool) -> int:
        if self.spoilt or self.body is None:
            return 503
        octets = (self.chunks or b"") + piece
        code = 250
        if not self.recipients:
            code = 554
        elif len(octets) > MOST:
            code = 552
        elif self._violated(octets, last):
            code = 550
        if code != 250:
            self.spoilt, self.chunks = True, None
        elif last:
            self.reset()
            self.accepted.append(octets)
        else:
            self.chunks = octets
        return code

    def _violated(self, octets: bytes, last: bool) -> bool:
        if self.body == "BINARYMIME":
            end = (b"\r\n" + octets).find(b"\r\n\r\n")
            if end >= 0:
                octets, last = octets[: end + 2], True
        if not last and octets.endswith(b"\r"):
            octets = octets[:-1]  # its LF may come with the next chunk
        return BARE.search(octets) is not None


@dataclass
class Said:
    """Octets to send and the codes of the replies to them."""

    octets: bytes
    codes: list[int]


def said(model: Model, dice: random.Random) -> Said:
    """The next command of a client that follows no rules, but mostly gets somewhere."""
    weights = {"mail": 6, "rcpt": 9, "data": 2, "bdat": 9, "rset": 9 if model.spoilt else 1, "ehlo": 1, "noop": 1}
    [choice] = dice.choices(list(weights), list(weights.values()))
    if choice == "mail":
        body = dice.choice(BODIES)
        return Said(f"MAIL FROM:<{USER}> BODY={body}\r\n".encode(), [model.mail(body)])
    if choice == "rcpt":
        known = dice.random() < 0.9
        name = "bob" if known else "nobody"
        return Said(f"RCPT TO:<{name}@example.org>\r\n".encode(), [model.rcpt(known)])
    if choice == "data":
        code = model.data()
        if code != 354:
            return Said(b"DATA\r\n", [code])
        octets = b"".join(dice.choices((b"a\r\n", b".b\r\n", b"..\r\n", b"c\nd\r\n", b"\r\n"), (5, 5, 5, 1, 5), k=3))
        stuffed = re.sub(rb"(?m)^\.", b"..", octets)
        return Said(b"DATA\r\n" + stuffed + b".\r\n", [354, model.message(octets)])
    if choice == "bdat":
        piece = b"".join(dice.choices(PIECES, (8, 18, 18, 1, 1, 8, 8, 8, 1, 4, 8, 4), k=dice.randrange(4)))
        last = dice.random() < 0.5
        octets = b"BDAT %d%b\r\n" % (len(piece), b" LAST" if last else b"") + piece
        return Said(octets, [model.bdat(piece, last)])
    if choice == "noop":
        return Said(b"NOOP\r\n", [250])
    return Said(b"RSET\r\n" if choice == "rset" else b"EHLO vm\r\n", [model.reset()])


@pytest.mark.parametrize("seed", range(6))
def test_replies_and_messages_are_the_models(tls: Certificates, seed: int) -> None:
    """Command by command, and many at once in pieces of any size."""
    dice = random.Random(seed)

    async def main() -> None:
        many = 10**6
        async with (
            door(tls, max_errors=many, max_idle_commands=many, max_message_size=MOST) as it, it.client() as client
        ):
            await client.login()
            model = Model()
            for _ in range(120):
                turn = [said(model, dice) for _ in range(dice.choice((1, 1, 5, 30)))]
                stream = b"".join(each.octets for each in turn)
                while stream:
                    size = dice.choice((1, 10, 1_000, 100_000))
                    client.writer.write(stream[:size])
                    await client.writer.drain()
                    stream = stream[size:]
                for each in turn:
                    for code in each.codes:
                        reply = await client.reply()
                        assert reply.startswith(f"{code}"), (each, reply)
            assert [octets for _, octets in it.acceptor.accepted] == model.accepted
            assert len(model.accepted) > 10

    run(main())

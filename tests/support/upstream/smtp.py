"""The scripted submission server: AUTH, SIZE, 8BITMIME, SMTPUTF8, DSN; it may file what it took, as providers do.

    async with FakeSubmission(upstream, files_sent=True, faults=[Drop("DOT", when="after")]) as smtp: …

The same faults as the IMAP server's, by verb: GREETING, TLS, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, DOT (the message
is complete), RSET, QUIT. `Refuse("MAIL", "432 4.3.2 …")`; an answer of 421 ends the connection; `Refuse("DOT", …,
done=True)` refuses what it keeps.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.support.upstream.account import Account
from tests.support.upstream.faults import Fault
from tests.support.upstream.grammar import Command
from tests.support.upstream.listener import Listener
from tests.support.upstream.server import FakeUpstream
from tests.support.upstream.wire import Gone, Wire

EXTENSIONS = ("PIPELINING", "SIZE 36700160", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN")
MECHANISMS = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")
_PATH = re.compile(r"(?:FROM|TO):<([^>]*)>((?: [^ ]+)*)\Z", re.IGNORECASE)


@dataclass
class Taken:
    """One message that the server keeps. `told`: the client was sent the 250, so it may not come again."""

    user: str
    mail_from: str = ""
    parameters: list[str] = field(default_factory=list)
    recipients: list[tuple[str, list[str]]] = field(default_factory=list)
    octets: bytes = b""
    told: bool = False


class SmtpTurn:
    """One command. `answer` is the whole reply, several lines with their hyphens."""

    def __init__(self, session: SmtpSession, command: Command, faults: list[Fault]) -> None:
        self.session, self.command, self.faults = session, command, faults
        self.answer, self.trailer = "", b""
        self.kept: Taken | None = None

    @property
    def wire(self) -> Wire:
        return self.session.wire

    @property
    def server(self) -> FakeSubmission:
        return self.session.server


class FakeSubmission(Listener["SmtpSession"]):
    """Accounts are those of `upstream`. `files_sent`: what was taken is put into the account's Sent (its `sent`).

    `rewrite`: what is done to the octets before (Microsoft changes them). `taken` is all that was taken.
    """

    def __init__(self, upstream: FakeUpstream, *, faults: Iterable[Fault] = (), files_sent: bool = False,
                 context: ssl.SSLContext | None = None, starttls: bool = False, host: str = "127.0.0.1", port: int = 0,
                 extensions: Iterable[str] = EXTENSIONS, mechanisms: Iterable[str] = MECHANISMS,
                 rewrite: Callable[[bytes], bytes] = lambda octets: octets) -> None:
        super().__init__(faults, context, starttls=starttls, host=host, port=port)
        self.upstream, self.files_sent, self.rewrite = upstream, files_sent, rewrite
        self.extensions, self.mechanisms = list(extensions), list(mechanisms)
        self.greeting = "submission.upstream.test ESMTP ready"
        self.refuse_login = ""
        self.oauth_challenge = '{"status":"401","schemes":"bearer","scope":"https://mail.test/"}'
        self.taken: list[Taken] = []

    def session(self, wire: Wire, number: int) -> SmtpSession:
        return SmtpSession(self, wire, number)

    async def serve(self, session: SmtpSession) -> None:
        if self.implicit_tls and not session.wire.tls:
            await session.handshake()
        await session.run()

    def keep(self, mail: Taken) -> None:
        self.taken.append(mail)
        account = self.upstream.accounts[mail.user]
        if self.files_sent and account.sent:
            account.deliver(account.sent, self.rewrite(mail.octets), flags=["\\Seen"])


class SmtpSession:
    """RFC 5321, strict: commands out of order get 503."""

    def __init__(self, server: FakeSubmission, wire: Wire, number: int) -> None:
        self.server, self.wire, self.number = server, wire, number
        self.account: Account | None = None
        self.greeted = self.over = False
        self.mail: Taken | None = None

    async def run(self) -> None:
        await self._turn("GREETING", "", lambda turn, rest: f"220 {self.server.greeting}")
        while not self.over:
            try:
                line = (await self.wire.line(65_536)).decode("utf-8", "surrogateescape")
            except ValueError:
                self.server.broken("a line is too long")
                raise Gone from None
            verb, _, rest = line.partition(" ")
            await self._turn(verb.upper(), rest, self._verbs().get(verb.upper(), _unknown))

    async def handshake(self) -> None:
        await self._turn("TLS", "", lambda turn, rest: "")
        assert self.server.context is not None
        await self.wire.start_tls(self.server.context)
        self.greeted, self.account = False, None

    def _verbs(self) -> dict[str, Callable[[SmtpTurn, str], str]]:
        return {
            "EHLO": self._ehlo, "STARTTLS": self._starttls, "MAIL": self._mail, "RCPT": self._rcpt, "DATA": self._data,
            "RSET": self._rset, "NOOP": lambda turn, rest: "250 2.0.0 OK", "QUIT": self._quit, "AUTH": self._auth,
        }

    async def _turn(self, name: str, rest: str, do: Callable[[SmtpTurn, str], str]) -> None:
        user = self.account.user if self.account else ""
        raw = f"{name} {rest}".encode("utf-8", "surrogateescape")
        command = Command(self.number, user, "", name, rest.split(), raw)
        if name not in ("GREETING", "TLS"):
            self.server.note(command)
        turn = SmtpTurn(self, command, self.server.due(command))
        for fault in turn.faults:
            await fault.before(turn)
        if not turn.answer:
            answer = do(turn, rest)
            turn.answer = await self._authenticated(rest) if answer == "AUTH" else answer
        for fault in turn.faults:
            await fault.after(turn)
        if turn.answer:
            self.wire.write(turn.answer.encode("utf-8", "surrogateescape") + b"\r\n")
        self.wire.write(turn.trailer)
        await self.wire.flush()
        self.wire.gates.clear()
        self.wire.drip = None
        for fault in turn.faults:
            await fault.told(turn)
        if turn.answer.startswith("421"):
            raise Gone
        if turn.kept is not None and turn.answer.startswith("2"):
            turn.kept.told = True
        if name == "STARTTLS" and turn.answer.startswith("220"):
            await self.handshake()
        elif name == "DATA" and turn.answer.startswith("354"):
            await self._body()

    def _ehlo(self, turn: SmtpTurn, rest: str) -> str:
        self.greeted, self.mail = True, None
        words = ["submission.upstream.test", *self.server.extensions]
        if self.server.offers_starttls and not self.wire.tls:
            words.append("STARTTLS")
        if self.server.mechanisms:
            words.append("AUTH " + " ".join(self.server.mechanisms))
        return "\r\n".join([f"250-{word}" for word in words[:-1]] + [f"250 {words[-1]}"])

    def _starttls(self, turn: SmtpTurn, rest: str) -> str:
        if self.wire.tls or not self.server.offers_starttls:
            return "502 5.5.1 Not offered"
        self.wire.hold()
        return "220 2.0.0 Ready to start TLS"

    def _mail(self, turn: SmtpTurn, rest: str) -> str:
        found = _PATH.match(rest)
        if not found or not self.greeted or self.mail is not None:
            return "503 5.5.1 Bad sequence of commands" if found else "501 5.5.4 Syntax"
        if self.account is None:
            return "530 5.7.0 Authentication required"
        words = found[2].split()
        size = next((int(word[5:]) for word in words if word.upper().startswith("SIZE=")), 0)
        limit = next((int(word[5:]) for word in self.server.extensions if word.startswith("SIZE ")), 0)
        if limit and size > limit:
            return "552 5.3.4 Message too big"
        if not found[1].isascii() and "SMTPUTF8" not in (word.upper() for word in words):
            return "553 5.6.7 SMTPUTF8 is needed"
        self.mail = Taken(self.account.user, found[1], words)
        return "250 2.1.0 OK"

    def _rcpt(self, turn: SmtpTurn, rest: str) -> str:
        found = _PATH.match(rest)
        if self.mail is None or not found:
            return "503 5.5.1 MAIL first" if found else "501 5.5.4 Syntax"
        self.mail.recipients.append((found[1], found[2].split()))
        return "250 2.1.5 OK"

    def _data(self, turn: SmtpTurn, rest: str) -> str:
        return "354 Go ahead" if self.mail and self.mail.recipients else "503 5.5.1 RCPT first"

    async def _body(self) -> None:
        assert self.mail is not None
        lines = []
        while (line := await self.wire.line(2**26)) != b".":
            lines.append((line[1:] if line.startswith(b".") else line) + b"\r\n")
        self.mail.octets = b"".join(lines)
        await self._turn("DOT", "", self._dot)

    def _dot(self, turn: SmtpTurn, rest: str) -> str:
        assert self.mail is not None
        turn.kept, self.mail = self.mail, None
        self.server.keep(turn.kept)
        return f"250 2.0.0 OK queued as {len(self.server.taken)}"

    def _rset(self, turn: SmtpTurn, rest: str) -> str:
        self.mail = None
        return "250 2.0.0 OK"

    def _quit(self, turn: SmtpTurn, rest: str) -> str:
        self.over = True
        return "221 2.0.0 Bye"

    def _auth(self, turn: SmtpTurn, rest: str) -> str:
        if not self.greeted or self.account is not None:
            return "503 5.5.1 Bad sequence of commands"
        offered = rest.split(" ")[0].upper() in self.server.mechanisms
        return "AUTH" if offered else "504 5.5.4 Unrecognized authentication type"

    async def _authenticated(self, rest: str) -> str:
        mechanism, _, initial = rest.partition(" ")
        try:
            given = _decoded(initial.encode()) if initial else None
            account = await self._checked(mechanism.upper(), given)
        except (ValueError, binascii.Error):
            self.server.broken(f"AUTH {mechanism}: bad grammar")
            return "501 5.5.2 Cannot decode"
        if account is None or self.server.refuse_login:
            return self.server.refuse_login or "535 5.7.8 Authentication credentials invalid"
        self.account = account
        return "235 2.7.0 Accepted"

    async def _checked(self, mechanism: str, given: bytes | None) -> Account | None:
        if mechanism == "LOGIN":
            user = given if given is not None else await self._asked(b"Username:")
            return self._known(user, password=await self._asked(b"Password:"))
        text = given if given is not None else await self._asked(b"")
        if mechanism == "PLAIN":
            _, user, password = text.split(b"\0")
            return self._known(user, password=password)
        form = rb"user=([^\x01]*)\x01" if mechanism == "XOAUTH2" else rb"n,a=([^,]*),\x01(?:[a-z]+=[^\x01]*\x01)*"
        found = re.fullmatch(form + rb"auth=Bearer ([^\x01]*)\x01\x01", text)
        if not found:
            raise ValueError("no bearer token")
        account = self._known(found[1], token=found[2])
        if account is None:
            answer = await self._asked(self.server.oauth_challenge.encode())
            if answer not in ((b"", b"\x01") if mechanism == "XOAUTH2" else (b"\x01",)):
                self.server.broken(f"{mechanism}'s error challenge is not answered so")
        return account

    def _known(self, user: bytes, *, password: bytes = b"", token: bytes = b"") -> Account | None:
        account = self.server.upstream.account_named(user.decode("utf-8", "replace"))
        right = account and (account.password.encode() == password if password else account.token.encode() == token)
        return account if right else None

    async def _asked(self, challenge: bytes) -> bytes:
        self.wire.write(b"334 " + base64.b64encode(challenge) + b"\r\n")
        await self.wire.flush()
        return _decoded(await self.wire.line(65_536))


def _decoded(text: bytes) -> bytes:
    return b"" if text == b"=" else base64.b64decode(text, validate=True)


def _unknown(turn: SmtpTurn, rest: str) -> str:
    turn.server.broken(f"unknown command {turn.command.name}")
    return "500 5.5.2 Unknown command"

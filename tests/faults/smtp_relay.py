"""A scripted relay: each transaction may be told to refuse or to drop at a stage. It keeps what it really took."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

DROP = "drop"

Script = dict[str, str]
"""Stage (greeting, ehlo, auth, mail, rcpt, rcpt2, data, body, final-dot) -> a reply, or DROP.

`rcpt2` is for the second recipient. `body`: after the first octets of it, before its end. At `final-dot` the message is
complete; a reply of 250 followed by nothing is the default.
"""


@dataclass
class Taken:
    """One message the relay accepted, as it will go on."""

    mail_from: str
    recipients: list[str]
    octets: bytes
    parameters: str


@dataclass
class Relay:
    port: int = 0
    scripts: deque[Script] = field(default_factory=deque)
    """One a transaction, from MAIL on (greeting, ehlo and auth: one a connection); then all goes well."""
    extensions: list[str] = field(default_factory=lambda: ["SIZE 52428800", "8BITMIME", "SMTPUTF8"])
    tls: ssl.SSLContext | None = None
    starttls: bool = False
    taken: list[Taken] = field(default_factory=list)
    unsure: list[Taken] = field(default_factory=list)
    """Complete messages whose reply was never sent."""
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    hold: asyncio.Event | None = None
    """Waited for before the reply to the final dot."""
    stall_at: str = ""
    """Instead of its reply at this stage `stalled` is set; once `released`, the connection is dropped."""
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    at_dot: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._dialogue(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the gateway's side went first: what was taken stands in `taken`
        finally:
            writer.transport.abort()

    def _script(self) -> Script:
        return self.scripts[0] if self.scripts else {}

    async def _say(self, writer: asyncio.StreamWriter, stage: str, default: str) -> bool:
        """False when the script wants the connection dropped."""
        if stage == self.stall_at:
            self.stalled.set()
            await self.released.wait()
            return False
        reply = self._script().get(stage, default)
        if reply == DROP:
            return False
        writer.write(reply.encode() + b"\r\n")
        await writer.drain()
        return not reply.startswith("421")

    async def _dialogue(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turned_away = "greeting" in self._script()
        if not await self._say(writer, "greeting", "220 relay ESMTP") or turned_away:
            self._next()
            return
        mail = Taken("", [], b"", "")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line.split()[0].upper()
            self.commands.append(line)
            if verb == "EHLO":
                offered = ["relay", *self.extensions] + (["STARTTLS"] if self.starttls else [])
                reply = "\r\n".join([f"250-{word}" for word in offered[:-1]] + [f"250 {offered[-1]}"])
                if not await self._say(writer, "ehlo", reply):
                    self._next()
                    return
            elif verb == "STARTTLS" and self.starttls and self.tls is not None:
                writer.write(b"220 go\r\n")
                await writer.start_tls(self.tls)
                self.starttls = False
            elif verb == "AUTH":
                self.commands[-1] = base64.b64decode(line.split()[2]).decode().replace("\0", "|")
                if not await self._say(writer, "auth", "235 2.7.0 welcome"):
                    return
            elif verb == "MAIL":
                path, _, parameters = line[10:].partition(" ")
                mail = Taken(path[1:-1], [], b"", parameters)
                if not await self._say(writer, "mail", "250 2.1.0 ok"):
                    self._next()
                    return
                if "mail" in self._script():
                    self._next()
            elif verb == "RCPT":
                stage = "rcpt2" if mail.recipients and "rcpt2" in self._script() else "rcpt"
                if stage not in self._script() or self._script()[stage].startswith("25"):
                    mail.recipients.append(line[9:-1])
                if not await self._say(writer, stage, "250 2.1.5 ok"):
                    self._next()
                    return
            elif verb == "DATA":
                if not await self._say(writer, "data", "354 go"):
                    self._next()
                    return
                if "data" in self._script():
                    self._next()
                elif not await self._body(reader, writer, mail):
                    self._next()
                    return
                else:
                    self._next()
            elif verb == "RSET":
                if "rcpt" in self._script():
                    self._next()
                writer.write(b"250 2.0.0 ok\r\n")
            elif verb == "QUIT":
                writer.write(b"221 2.0.0 bye\r\n")
                return
            else:
                writer.write(b"500 5.5.2 what\r\n")

    def _next(self) -> None:
        if self.scripts:
            self.scripts.popleft()

    async def _body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mail: Taken) -> bool:
        if "body" in self._script():
            await reader.read(1)
            await self._say(writer, "body", "")
            return False
        lines = []
        while (line := await reader.readuntil(b"\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        mail.octets = b"".join(lines)
        self.at_dot.set()
        if self.hold is not None:
            await self.hold.wait()
        reply = self._script().get("final-dot", "250 2.0.0 taken")
        if reply == DROP:
            self.unsure.append(mail)
            return False
        if reply.startswith("250"):
            self.taken.append(mail)
        return await self._say(writer, "final-dot", reply)


@asynccontextmanager
async def relay(relay: Relay | None = None, *, implicit_tls: bool = False) -> AsyncIterator[Relay]:
    running = relay or Relay()
    server = await asyncio.start_server(
        running.serve, "127.0.0.1", 0, ssl=running.tls if implicit_tls else None, limit=2**24
    )
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()

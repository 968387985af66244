"""Where new mail of an account goes: a command, a directory, lines of JSON. Each takes a message whole, or fails."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway.connectors.remote.polling import NewMessage, TargetFailed
from gateway.control.facts import facts_json

from .remote_files import whole_file

PATIENCE_S: Final = 3.0
"""With a command that was asked to end."""
_TRIPLES: Final = 3 * 64 * 1024  # octets that base64 takes without anything left over


def facts_of(message: NewMessage) -> dict[str, Any]:
    """What is known of a message without its octets."""
    return {
        "connector": message.connector, "poller": message.poller, "mailbox": message.mailbox,
        "uidvalidity": message.uidvalidity, **facts_json(message.facts),
    }  # fmt: skip


class CommandTarget:
    """A command of the shell: the message is its standard input, facts are in MAIL_… of its environment.

    Any status but 0 means that it did not take the message.
    """

    def __init__(self, command: str) -> None:
        self._command = command

    async def deliver(self, message: NewMessage, content: BinaryIO | None) -> None:
        process = await asyncio.create_subprocess_shell(
            self._command, stdin=content if content is not None else asyncio.subprocess.DEVNULL,
            env=os.environ | environment(message),
        )  # fmt: skip
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        if status:
            raise TargetFailed(f"The command ended with status {status} at UID {message.facts.uid}; it comes again")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end; kill it where it does not."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):  # it may end at any moment
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def environment(message: NewMessage) -> dict[str, str]:
    """MAIL_UID, MAIL_FROM …: texts without control characters; they come from strangers, so scripts must quote them."""
    facts = facts_of(message)
    facts["flags"] = " ".join(facts["flags"])
    return {
        f"MAIL_{name.upper()}": "".join(char if char.isprintable() else " " for char in str(value))
        for name, value in facts.items() if value is not None
    }  # fmt: skip


class DirectoryTarget:
    """A file a message, UIDVALIDITY.UID.eml, which is there when all of it is; the same one when it comes again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def deliver(self, message: NewMessage, content: BinaryIO | None) -> None:
        await asyncio.to_thread(self._write, message, content)

    def _write(self, message: NewMessage, content: BinaryIO | None) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with whole_file(
            self._directory / f"{message.uidvalidity}.{message.facts.uid}.eml", replace=True
        ) as file:
            if content is not None:  # else it has no octets
                shutil.copyfileobj(content, file)


class JsonTarget:
    """A line of JSON a message on standard output; `content` in it is the message in base64, where it was fetched."""

    async def deliver(self, message: NewMessage, content: BinaryIO | None) -> None:
        await asyncio.to_thread(self._write, message, content)

    def _write(self, message: NewMessage, content: BinaryIO | None) -> None:
        out = sys.stdout.buffer
        line = json.dumps(facts_of(message), ensure_ascii=False).encode("utf-8", "replace")
        if content is None:
            out.write(line + b"\n")
        else:
            out.write(line[:-1] + b', "content": "')
            while piece := content.read(_TRIPLES):
                out.write(base64.b64encode(piece))
            out.write(b'"}\n')
        out.flush()

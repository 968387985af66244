"""The scripted upstream as a process of its own: for kill tests, and for memory tests that count one side only.

    python -m tests.support.upstream --personality gmail --port 0 --messages 100 --accounts 1000 --tls leaf.pem

A line of JSON on standard output says where it listens. Then each line of JSON on standard input is a call on the
server, answered by a line: {"call": "deliver", "args": ["INBOX"], "named": {"flags": ["\\\\Seen"]}}; "user" chooses
another account. It ends when standard input does. `tests.support.upstream.process` speaks this.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.sslproto
import json
import ssl
import sys
from typing import Any

from tests.support import upstream
from tests.support.upstream.faults import Do
from tests.support.upstream.personality import PERSONALITIES
from tests.support.upstream.server import FakeUpstream
from tests.support.upstream.smtp import FakeSubmission

asyncio.sslproto.SSLProtocol.max_size = 16_384  # else 256 KiB a connection


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.upstream")
    parser.add_argument("--personality", choices=sorted(PERSONALITIES), default="dovecot")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--messages", type=int, default=0, help="in the INBOX of each account")
    parser.add_argument("--size", type=int, default=0, help="octets of each message, at least")
    parser.add_argument("--accounts", type=int, default=1, help="user@upstream.test, user2@upstream.test, …")
    parser.add_argument("--tls", metavar="FILE", help="certificate and key; TLS from the first octet")
    parser.add_argument("--starttls", metavar="FILE", help="certificate and key; STARTTLS")
    parser.add_argument("--smtp", action="store_true", help="a submission server too")
    parser.add_argument("--files-sent", action="store_true", help="which files what it took in Sent")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    context = None
    if options.tls or options.starttls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls or options.starttls)
    where: dict[str, Any] = {"context": context, "starttls": bool(options.starttls), "host": options.host}
    server = FakeUpstream(PERSONALITIES[options.personality], port=options.port, **where)
    for number in range(1, options.accounts):
        server.add_account(f"user{number + 1}@upstream.test")
    for account in server.accounts.values():
        account.deliver_many(options.messages, size=options.size)
    submission = FakeSubmission(server, files_sent=options.files_sent, **where)
    async with server:
        ports = {"host": server.host, "port": server.port}
        if options.smtp:
            await submission.start()
            ports["smtp_port"] = submission.port
        _say(ports)
        await _obey(server, submission)
        await submission.stop()


async def _obey(server: FakeUpstream, submission: FakeSubmission) -> None:
    reader = asyncio.StreamReader(limit=2**28)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        wanted = json.loads(line)
        try:
            _say({"result": await _called(server, submission, wanted)})
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            _say({"error": repr(error)})
    transport.close()


async def _called(server: FakeUpstream, submission: FakeSubmission, wanted: dict[str, Any]) -> Any:
    name, args, named = wanted["call"], wanted.get("args", []), wanted.get("named", {})
    if name == "arm":  # the name of a fault, then its arguments
        fault = getattr(upstream, args[0])(*args[1:], **named)
        (submission if wanted.get("smtp") else server).arm(fault)
        return None
    if name == "arm_call":  # the command, then a method of the server and its arguments
        server.arm(Do(args[0], lambda one: getattr(one, args[1])(*args[2:]), **named))
        return None
    if name == "set":
        setattr(submission if wanted.get("smtp") else server, *args)
        return None
    if name == "log":
        return [[one.name, one.text] for one in server.log]
    if name == "taken":
        return [[one.octets.decode("latin-1"), one.told] for one in submission.taken]
    if name in ("violations", "connections"):
        return getattr(server, name)
    if "octets" in named:
        named["octets"] = named["octets"].encode("latin-1")
    target = server.accounts[wanted["user"]] if "user" in wanted else server
    result = getattr(target, name)(*args, **named)
    if asyncio.iscoroutine(result):
        result = await result
    if name == "snapshot":
        return {
            raw: {uid: [sorted(flags), digest] for uid, (flags, digest) in box.items()} for raw, box in result.items()
        }
    return result if isinstance(result, int | str | list | dict | None) else None


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))

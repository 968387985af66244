"""From a name to a greeted IMAP server: every way in which that can fail has its own class, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.outbound.tls import Security
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed
from gateway.upstream.transcript import Transcript
from tests.faults.smtp_kit import run
from tests.faults.upstream_kit import PATIENT, SHORT_GREETING, settings
from tests.support.authority import Authority, Leaf
from tests.support.upstream import DOVECOT, FakeUpstream, Inject
from tests.support.upstream.account import PASSWORD, USER

BOB = RelayLogin("bob", "secret")
ME = RelayLogin(USER, PASSWORD)
both_loops = pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def leaf(ca: Authority) -> Leaf:
    return ca.leaf()


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[int]:
    """A port where each connection is `speak`'s."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await speak(reader, writer)
            await writer.drain()
        writer.transport.abort() if reader.at_eof() else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def says(*lines: bytes) -> Speak:
    """These, each after a line of the client but the first; then it reads until the client goes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for place, line in enumerate(lines):
            if place:
                await reader.readline()
            writer.write(line)
        while await reader.read(65_536):
            pass

    return speak


def refused(speak: Speak, security: Security = Security.NONE, *, fast: bool = True, silent: bool = False) -> Closed:
    times = SHORT_GREETING if silent else PATIENT

    async def main() -> Closed:
        async with speaking(speak) as port:
            with pytest.raises(Closed) as error:
                await ImapClient.connect(settings(port, BOB, security, times=times))
            return error.value

    return run(main(), fast=fast)


@both_loops
@pytest.mark.parametrize(
    ("lines", "security", "failure"),
    [
        ([b""], Security.NONE, Failure.TIMEOUT),
        ([b""], Security.TLS, Failure.TIMEOUT),
        ([b"* OK hello, not TLS\r\n"], Security.TLS, Failure.NOT_TLS),
        ([b"220 smtp.test ESMTP\r\n"], Security.NONE, Failure.PROTOCOL),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], Security.STARTTLS, Failure.PROTOCOL),
        ([b"+ OK POP3\r\n"], Security.NONE, Failure.PROTOCOL),
        ([b"* NO go away\r\n"], Security.NONE, Failure.PROTOCOL),
        ([b"x" * 200_000], Security.NONE, Failure.PROTOCOL),
        ([b"* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n" + b"* OK\r\n" * 50_000], Security.STARTTLS, Failure.PROTOCOL),
        ([b"* BYE Too many connections from your address\r\n"], Security.NONE, Failure.LIMIT),
        ([b"* BYE no\r\n"], Security.STARTTLS, Failure.UNAVAILABLE),
        ([b"* OK [CAPABILITY IMAP4rev1] x\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK x\r\n", b"* CAPABILITY IMAP4rev1\r\nA1 OK x\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] x\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 NO not now\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 BAD what\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 OK go\r\n* OK more\r\n"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 OK go\r\n* OK"], Security.STARTTLS, Failure.NO_STARTTLS),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 OK go\r\n"], Security.STARTTLS, Failure.TIMEOUT),
        ([b"* OK [CAPABILITY STARTTLS] x\r\n", b"A1 OK go\r\n", b"no TLS at all, rather a long text"],
         Security.STARTTLS, Failure.NOT_TLS),
        ([b"* OK [CAPABILITY LOGINDISABLED] x\r\n"], Security.NONE, Failure.LOGIN_DISABLED),
    ],
)  # fmt: skip
def test_servers_that_cannot_be_used(lines: list[bytes], security: Security, failure: Failure, fast: bool) -> None:
    error = refused(says(*lines), security, fast=fast, silent=failure is Failure.TIMEOUT)
    assert error.failure is failure


@both_loops
@pytest.mark.parametrize("security", [Security.NONE, Security.TLS, Security.STARTTLS])
def test_a_server_that_hangs_up(security: Security, fast: bool) -> None:
    async def speak(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None: ...

    assert refused(speak, security, fast=fast).failure is Failure.LOST


@both_loops
def test_nobody_there(fast: bool) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(Closed) as error:
                await ImapClient.connect(settings(unused.getsockname()[1], BOB))
            assert error.value.failure is Failure.REFUSED

        async def nowhere(_host: str, _port: int) -> list[tuple[int, tuple[str, int]]]:
            raise OSError

        with pytest.raises(Closed) as error:
            await ImapClient.connect(settings(993, BOB, host="nowhere.test"), resolver=nowhere)
        assert error.value.failure is Failure.DNS

        async def metadata(_host: str, _port: int) -> list[tuple[int, tuple[str, int]]]:
            return [(socket.AF_INET, ("169.254.169.254", 993))]

        with pytest.raises(Closed) as error:
            await ImapClient.connect(settings(993, BOB, host="inside.test"), resolver=metadata)
        assert error.value.failure is Failure.DENIED

    run(main(), fast=fast)


@both_loops
@pytest.mark.parametrize("starttls", [False, True])
def test_encrypted(ca: Authority, leaf: Leaf, starttls: bool, fast: bool) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, context=leaf.server(), starttls=starttls) as server:
            security = Security.STARTTLS if starttls else Security.TLS
            transcript = Transcript()
            client = await ImapClient.connect(
                settings(server.port, ME, security, ca=ca.file, host="localhost"), transcript=transcript
            )
            facts = client.tls_info
            assert facts is not None
            assert "localhost" in facts.names
            assert facts.version == "TLSv1.3"
            assert client.has("IDLE")
            assert ("- TLS is on" in [line for _, line in transcript.lines()]) is starttls
            await client.log_out()
            assert not server.violations

    run(main(), fast=fast)


@both_loops
@pytest.mark.parametrize("starttls", [False, True])
def test_certificates_are_verified(
    leaf: Leaf, starttls: bool, fast: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))

    async def main() -> None:
        async with FakeUpstream(DOVECOT, context=leaf.server(), starttls=starttls) as server:
            security = Security.STARTTLS if starttls else Security.TLS
            with pytest.raises(Closed) as error:
                await ImapClient.connect(settings(server.port, ME, security, ca=other.file, host="localhost"))
            assert error.value.failure is Failure.TLS_VERIFY
            assert "LOGIN" not in str(server.log)
            assert "AUTHENTICATE" not in str(server.log)

    run(main(), fast=fast)


@both_loops
def test_pins(ca: Authority, leaf: Leaf, fast: bool) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, context=leaf.server()) as server:
            with pytest.raises(Closed) as error:
                await ImapClient.connect(
                    settings(server.port, ME, Security.TLS, ca=ca.file, host="localhost", pins=("0" * 64,))
                )
            assert error.value.failure is Failure.TLS_VERIFY

    run(main(), fast=fast)


@both_loops
def test_what_is_put_in_before_tls_is_noticed(ca: Authority, leaf: Leaf, fast: bool) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, context=leaf.server(), starttls=True, faults=[Inject("STARTTLS")]) as server:
            with pytest.raises(Closed) as error:
                await ImapClient.connect(settings(server.port, ME, Security.STARTTLS, ca=ca.file, host="localhost"))
            assert error.value.failure is Failure.NO_STARTTLS
            assert {command.name for command in server.log} <= {"STARTTLS", "CAPABILITY"}

    run(main(), fast=fast)


@both_loops
def test_step_by_step(ca: Authority, leaf: Leaf, fast: bool) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, context=leaf.server()) as server:
            client = await ImapClient.open(settings(server.port, ME, Security.TLS, ca=ca.file, host="localhost"))
            assert client.greeting
            assert not client.has("MOVE")
            await client.log_in()
            assert client.has("MOVE")
            assert server.connections == 1
            await client.log_out()

    run(main(), fast=fast)


@both_loops
def test_let_in_without_a_login(fast: bool) -> None:
    async def main() -> None:
        async with speaking(says(b"* PREAUTH [CAPABILITY IMAP4rev1] x\r\n", b"A1 OK x\r\n")) as port:
            client = await ImapClient.connect(settings(port, BOB))
            await client.noop()
            client.abort()

    run(main(), fast=fast)


@both_loops
def test_a_cancelled_connect_leaves_nothing(fast: bool) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def speak(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with speaking(speak) as port:
            for security in (Security.NONE, Security.TLS):
                gone.clear()
                connecting = asyncio.ensure_future(ImapClient.connect(settings(port, BOB, security)))
                await asyncio.sleep(0.05)
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
                await gone.wait()

    run(main(), fast=fast)

"""Connections through real SOCKS5 and HTTP proxies, to a real SMTP server: mail goes, each failure has its class."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.outbound.dial import MOST_ADDRESSES, dial
from gateway.outbound.errors import AddressDenied, ConnectFailed, NameNotFound, OutboundError, ProxyFailed
from gateway.outbound.failure import Failure
from gateway.outbound.proxy import Proxy, ProxyKind
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.tls import Security, TlsPolicy
from gateway.outbound.verdict import Verdict
from tests.faults.smtp_kit import certificates, run
from tests.faults.smtp_peer import Peer, mail, peer
from tests.faults.smtp_relay import Relay, relay
from tests.support.proxies import TestProxy, proxy

KINDS = pytest.mark.parametrize("kind", list(ProxyKind))
LOGIN = ("zoë", "p4ss")


def through(kind: ProxyKind, one: TestProxy, **changes: object) -> Proxy:
    values: dict[str, object] = {
        "kind": kind, "host": "127.0.0.1", "port": one.port, "allow_private": True, **changes,
    }  # fmt: skip
    return Proxy(**values)  # type: ignore[arg-type]


@KINDS
@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_mail_goes_through_a_proxy(kind: ProxyKind, login: tuple[str, str] | None, together: bool, fast: bool) -> None:
    """Also where the server's greeting comes in one packet with the proxy's answer."""

    async def main() -> None:
        async with peer(Peer()) as there, proxy(kind, TestProxy(login=login, together=together)) as between:
            user, secret = login or ("", "")
            way = through(kind, between, user=user, secret=secret)
            connection = await SmtpConnection.open(there.endpoint(proxy=way))
            outcomes = await connection.send(mail("eve@elsewhere.net"))
            await connection.close()
            assert [outcome.verdict for outcome in outcomes] == [Verdict.SENT]
            assert len(there.got) == 1
            assert between.asked == [("127.0.0.1", there.port)]
            assert between.logins == ([login] if login else [])

    run(main(), fast=fast)


@KINDS
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_tls_is_with_the_server_and_not_with_the_proxy(tmp_path: Path, kind: ProxyKind, security: Security) -> None:
    """The name that was asked for is the one that is verified, though the proxy was told an address."""
    tls = certificates(tmp_path)

    async def resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        return [(2, ("127.0.0.1", port))]

    async def main() -> None:
        one = Relay(tls=tls.server, starttls=security is Security.STARTTLS)
        async with relay(one, implicit_tls=security is Security.TLS), proxy(kind, TestProxy(together=False)) as between:
            base = Peer(port=one.port)
            policy = TlsPolicy(security, tls.ca_file)
            way = through(kind, between)
            opened = await SmtpConnection.open(
                base.endpoint(host="localhost", tls=policy, proxy=way), resolver=resolver
            )
            await opened.close()
            assert between.asked == [("127.0.0.1", one.port)]
            one.starttls = security is Security.STARTTLS
            with pytest.raises(TransportFailed) as failed:
                await SmtpConnection.open(
                    base.endpoint(host="other.example", tls=policy, proxy=way), resolver=resolver
                )
            assert failed.value.outcome.failure is Failure.TLS_VERIFY

    run(main())


@KINDS
def test_names_are_looked_up_here_and_checked_unless_they_are_the_proxys_business(kind: ProxyKind) -> None:
    async def main() -> None:
        async with peer(Peer()) as there, proxy(kind, TestProxy(names={"mail.hidden": "127.0.0.1"})) as between:

            async def resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
                if host == "127.0.0.1":
                    return [(2, (host, port))]
                if host == "mail.hidden":
                    raise OSError("no such name")
                return [(2, ("169.254.169.254", port)), (2, ("10.0.0.1", port))]

            for host, kind_of in (("mail.hidden", NameNotFound), ("metadata.example", AddressDenied)):
                with pytest.raises(kind_of):
                    await dial(
                        host, 25, allow_private=False, patience=5, resolver=resolver, proxy=through(kind, between)
                    )
            assert between.asked == []
            far = through(kind, between, remote_names=True)
            sock = await dial(
                "mail.hidden", there.port, allow_private=False, patience=5, resolver=resolver, proxy=far
            )
            sock.close()
            assert between.asked == [("mail.hidden", there.port)]
            with pytest.raises(AddressDenied):  # an address is looked at all the same
                await dial("127.0.0.1", there.port, allow_private=False, patience=5, resolver=resolver, proxy=far)

    run(main())


@KINDS
def test_the_proxys_own_address_passes_the_deny_table(kind: ProxyKind) -> None:
    async def main() -> None:
        async with proxy(kind) as between:
            with pytest.raises(ProxyFailed, match=r"cannot be used: .*not allowed") as failed:
                await dial(
                    "127.0.0.1", 25, allow_private=True, patience=5, proxy=through(kind, between, allow_private=False)
                )
            assert failed.value.failure is Failure.PROXY

    run(main())


@KINDS
@pytest.mark.parametrize("there", ["closed", "refuses", "wrong-login", "silent", "hangs-up"])
def test_what_goes_wrong_at_the_proxy_is_told(kind: ProxyKind, there: str) -> None:
    async def main() -> OutboundError:
        one = TestProxy(login=LOGIN if there == "wrong-login" else None)
        if there == "refuses":
            one.answer = b"\x05\x02\x00\x01" + bytes(6) if kind is ProxyKind.SOCKS5 else b"HTTP/1.1 403 No\r\n\r\n"
        async with proxy(kind, one) as between:
            way = through(kind, between, user="zoë", secret="wrong")
            listening = None
            if there in ("silent", "hangs-up"):
                listening = await asyncio.start_server(_mute if there == "silent" else _gone, "127.0.0.1", 0)
                way = through(kind, TestProxy(port=listening.sockets[0].getsockname()[1]))
            if there == "closed":
                way = through(kind, TestProxy(port=1))
            with pytest.raises(OutboundError) as failed:
                await dial("127.0.0.1", 25, allow_private=True, patience=0.5, proxy=way)
            if listening is not None:
                listening.close()
            return failed.value

    found = run(main())
    assert isinstance(found, ProxyFailed)
    assert found.failure is Failure.PROXY
    words = {
        "closed": "Connection refused", "refuses": "refused: ", "wrong-login": "does not accept our",
        "silent": "did not answer in time", "hangs-up": "closed the connection",
    }[there]  # fmt: skip
    assert words in str(found)
    assert "wrong" not in str(found)


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


@KINDS
def test_the_next_address_is_tried_where_the_proxy_cannot_reach_one(kind: ProxyKind) -> None:
    """As with a proxy that has no IPv6; one name's addresses are not tried without end."""

    async def main() -> None:
        async with peer(Peer()) as there, proxy(kind) as between:
            bad = [(2, ("127.0.0.1", 1))] * 2

            async def resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
                if host == "127.0.0.1":
                    return [(2, (host, port))]
                return bad * 100 if host == "bad.example" else [*bad, (2, ("127.0.0.1", there.port))]

            way = through(kind, between)
            sock = await dial("mail.example", 25, allow_private=True, patience=5, resolver=resolver, proxy=way)
            sock.close()
            assert [port for _, port in between.asked] == [1, 1, there.port]
            between.asked.clear()
            with pytest.raises(ConnectFailed, match=r"Connecting to bad\.example port 25: the .* proxy"):
                await dial("bad.example", 25, allow_private=True, patience=5, resolver=resolver, proxy=way)
            assert len(between.asked) == MOST_ADDRESSES

    run(main())

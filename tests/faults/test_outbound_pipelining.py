"""Many commands at once and their replies one by one: refusals find their recipients, losses their stage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.outbound.tls import Security, TlsPolicy
from gateway.outbound.verdict import Stage, Verdict
from tests.faults.smtp_kit import certificates, run
from tests.faults.smtp_peer import DROP, FAST, MESSAGE, Peer, connected, mail, peer
from tests.faults.smtp_relay import Relay, relay

ALL = ("PIPELINING", "8BITMIME", "SIZE 50000000")
THREE = ("a@x.net", "b@x.net", "c@x.net")


def words(outcomes: list) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    return [(outcome.verdict.value, outcome.stage.value) for outcome in outcomes]


def test_one_turn_for_the_envelope_and_one_for_the_body() -> None:
    async def main() -> None:
        async with peer(Peer(ALL)) as it, connected(it) as connection:
            for _ in range(2):
                outcomes = await connection.send(mail(*THREE))
                assert words(outcomes) == [("sent", "final-dot")] * 3
            assert connection.usable
            assert connection.sent == 2
        assert it.verbs()[:3] == [["EHLO"], ["MAIL", "RCPT", "RCPT", "RCPT", "DATA"], []]
        assert [got.octets for got in it.got] == [MESSAGE, MESSAGE]
        assert it.connections == 1

    run(main())


def test_one_by_one_where_it_is_not_offered() -> None:
    async def main() -> None:
        async with peer(Peer(ALL[1:])) as it, connected(it) as connection:
            assert words(await connection.send(mail(*THREE))) == [("sent", "final-dot")] * 3
        assert it.verbs()[:6] == [["EHLO"], ["MAIL"], ["RCPT"], ["RCPT"], ["RCPT"], ["DATA"]]

    run(main())


@pytest.mark.parametrize("extensions", [ALL, ALL[1:]], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    ("replies", "expected", "taken"),
    [
        ({"MAIL": ["550 5.7.1 no"]}, [("permanent", "mail")] * 3, 0),
        ({"MAIL": ["451 4.3.0 later"]}, [("temporary", "mail")] * 3, 0),
        ({"MAIL": ["251 odd"]}, [("sent", "final-dot")] * 3, 1),
        ({"RCPT": ["250 ok", "550 5.1.1 nobody", "450 4.2.1 later"]},
         [("sent", "final-dot"), ("permanent", "rcpt"), ("temporary", "rcpt")], 1),
        ({"RCPT": ["253 ok", "252 ok", "250 ok"]}, [("sent", "final-dot")] * 3, 1),
        ({"RCPT": ["550 5.1.1 nobody"] * 3}, [("permanent", "rcpt")] * 3, 0),
        ({"RCPT": ["550 5.1.1 nobody", "450 4.2.1 later", "553 5.1.3 no"]},
         [("permanent", "rcpt"), ("temporary", "rcpt"), ("permanent", "rcpt")], 0),
        ({"DATA": ["451 4.3.0 later"]}, [("temporary", "data")] * 3, 0),
        ({"DATA": ["554 5.5.0 no"]}, [("permanent", "data")] * 3, 0),
        ({"DATA": ["250 what"]}, [("temporary", "data")] * 3, 0),
        ({"dot": ["550 5.7.1 spam"]}, [("permanent", "final-dot")] * 3, 0),
        ({"dot": ["452 4.3.1 full"]}, [("temporary", "final-dot")] * 3, 0),
    ],
)  # fmt: skip
def test_refusals_and_the_next_message(
    extensions: tuple[str, ...], replies: dict[str, list[str]], expected: list[tuple[str, str]], taken: int
) -> None:
    """Whatever was refused, the connection is in step: the next message goes through on it."""

    async def main() -> None:
        async with peer(Peer(extensions, {verb: list(said) for verb, said in replies.items()})) as it:
            async with connected(it) as connection:
                assert words(await connection.send(mail(*THREE))) == expected
                assert len(it.got) == taken
                assert connection.usable
                assert words(await connection.send(mail(*THREE))) == [("sent", "final-dot")] * 3
                assert [len(got.rcpts) for got in it.got][taken:] == [3]
            assert it.connections == 1

    run(main())


@pytest.mark.parametrize("extensions", [ALL, ALL[1:]], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    ("replies", "verdict", "stage"),
    [
        ({"MAIL": [DROP]}, "temporary", "mail"), ({"MAIL": ["421 4.3.2 later"]}, "temporary", "mail"),
        ({"RCPT": ["250 ok", DROP]}, "temporary", "rcpt"), ({"DATA": [DROP]}, "temporary", "data"),
        ({"DATA": ["421 4.3.2 later"]}, "temporary", "data"), ({"body": [DROP]}, "temporary", "body"),
        ({"body": ["552 5.3.4 too big"]}, "permanent", "body"), ({"body": ["250 ok"]}, "temporary", "body"),
        ({"dot": [DROP]}, "unknown", "final-dot"), ({"dot": ["421 4.3.2 later"]}, "temporary", "final-dot"),
        ({"MAIL": ["nonsense"]}, "temporary", "mail"), ({"RCPT": ["250-a\r\n251 b"]}, "temporary", "rcpt"),
    ],
)  # fmt: skip
def test_losses_know_their_stage(
    extensions: tuple[str, ...], replies: dict[str, list[str]], verdict: str, stage: str
) -> None:
    async def main() -> None:
        big = MESSAGE + b"x" * 70 * 1000 if "body" in replies else MESSAGE
        one = Peer(extensions, {verb: list(said) for verb, said in replies.items()})
        async with peer(one) as it, connected(it) as connection:
            outcomes = await connection.send(mail("a@x.net", "b@x.net", octets=big))
            assert words(outcomes)[-1] == (verdict, stage)
            assert not connection.usable
            assert connection.dot_sent == (stage == "final-dot")
            assert it.got == []

    run(main())


def test_421_for_one_recipient_ends_it_for_all() -> None:
    async def main() -> None:
        async with peer(Peer(ALL, {"RCPT": ["250 ok", "421 4.3.2 later"]})) as it, connected(it) as connection:
            outcomes = await connection.send(mail(*THREE))
            assert [(each.code, each.verdict.value) for each in outcomes] == [(421, "temporary")] * 3
        assert it.got == []

    run(main())


def test_data_granted_with_nobody_to_send_to_is_ended_by_a_lone_dot() -> None:
    """RFC 2920 3.1: such a server exists, and the message must not go anywhere."""

    async def main() -> None:
        one = Peer(ALL, {"RCPT": ["550 5.1.1 nobody"] * 3, "dot": ["554 5.5.1 no recipients"]}, grants_data=True)
        async with peer(one) as it, connected(it) as connection:
            assert words(await connection.send(mail(*THREE))) == [("permanent", "rcpt")] * 3
            assert connection.usable
            assert words(await connection.send(mail(*THREE))) == [("sent", "final-dot")] * 3
        assert len(it.got) == 1

    run(main())


def test_data_granted_without_mail_is_left() -> None:
    """A server out of step: neither a body nor a dot is sent to it."""

    async def main() -> None:
        one = Peer(ALL, {"MAIL": ["550 5.7.1 no"], "": ["250 ok", "250 ok", "250 ok"]}, grants_data=True)
        async with peer(one) as it, connected(it) as connection:
            assert words(await connection.send(mail(*THREE))) == [("permanent", "mail")] * 3
            assert not connection.usable
        assert it.got == []

    run(main())


def test_a_kept_connection_that_the_server_closed() -> None:
    async def main() -> None:
        async with peer(Peer(ALL, {"dot": ["250 ok\r\n421 4.4.2 idle for too long"]})) as it:
            async with connected(it) as connection:
                assert words(await connection.send(mail())) == [("sent", "final-dot")], "taken is taken"
                assert not connection.usable, "what it said beyond that is no answer to the next command"
                [outcome] = await connection.send(mail())
                assert (outcome.verdict, outcome.stage, outcome.code) == (Verdict.TEMPORARY, Stage.MAIL, None)
            assert len(it.got) == 1

    run(main())


def test_more_replies_than_commands_end_it() -> None:
    async def main() -> None:
        async with peer(Peer(ALL, {"MAIL": ["250 ok\r\n" * 3000 + "250 ok"]})) as it:
            connection = await SmtpConnection.open(it.endpoint())
            [outcome] = await connection.send(mail())
            assert outcome.verdict is Verdict.TEMPORARY
            assert not connection.usable
            assert it.got == []

    run(main())


def test_limits_of_the_server_are_kept() -> None:
    """RFC 9422: so many recipients of one transaction, so many domains, so many transactions of a connection."""

    async def main() -> None:
        limits = "LIMITS MAILMAX=2 RCPTMAX=2 RCPTDOMAINMAX=1 UNKNOWN=7 RCPTMAX"
        async with peer(Peer((*ALL, limits))) as it, connected(it) as connection:
            outcomes = await connection.send(mail("a@x.net", "b@y.net", "c@x.net", "d@X.net"))
            assert [(each.verdict.value, each.at_once) for each in outcomes] == [
                ("sent", False), ("temporary", True), ("sent", False), ("temporary", True),
            ]  # fmt: skip
            assert connection.usable
            await connection.send(mail("b@y.net"))
            assert not connection.usable, "two transactions, and no more"
        assert [len(got.rcpts) for got in it.got] == [2, 1]

    run(main())


def test_a_thousand_recipients_at_once() -> None:
    async def main() -> None:
        people = [f"{number}@{'x' * 60}.net" for number in range(1000)]
        refused = ["550 5.1.1 nobody" if number % 3 else "250 ok" for number in range(1000)]
        async with peer(Peer(ALL, {"RCPT": refused})) as it, connected(it) as connection:
            outcomes = await connection.send(mail(*people))
            assert [each.verdict is Verdict.SENT for each in outcomes] == [not number % 3 for number in range(1000)]
            assert [rcpt.split("<")[1].split("@")[0] for rcpt in it.got[0].rcpts] == [str(n) for n in range(0, 1000, 3)]

    run(main())


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_taken_over_from_the_library_on_either_loop(tmp_path: Path, security: Security, fast: bool) -> None:
    """The transport is handed on after TLS too; `doctor` runs on asyncio's own loop."""
    tls = certificates(tmp_path)

    async def main() -> list[tuple[str, str]]:
        one = Relay(tls=tls.server, starttls=security is Security.STARTTLS, extensions=list(ALL))
        async with relay(one, implicit_tls=security is Security.TLS):
            endpoint = Endpoint(
                "localhost", one.port, TlsPolicy(security, tls.ca_file), allow_private=True, timeouts=FAST
            )
            connection = await SmtpConnection.open(endpoint)
            octets = MESSAGE + b"x" * 300_000
            outcomes = await connection.send(mail(*THREE, octets=octets))
            outcomes += await connection.send(mail(*THREE, octets=octets))
            await connection.close()
            assert [taken.octets for taken in one.taken] == [octets + b"\r\n"] * 2
            assert one.connections == 1
            return words(outcomes)

    assert (run(main()) if fast else asyncio.run(main())) == [("sent", "final-dot")] * 6

"""Two gateways on one PostgreSQL database: what one accepts or revokes, the sessions of the other notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.mail import new_message
from tests.servers import postgres
from tests.support.gateway import Gateway, two_nodes


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, cluster: postgres.Cluster
) -> Iterator[tuple[Gateway, Gateway]]:
    first, second = Gateway(tmp_path_factory.mktemp("first")), Gateway(tmp_path_factory.mktemp("second"))
    cluster.execute("CREATE DATABASE gateway")
    try:
        with two_nodes(first, second, {"GATEWAY_STORE__URL": cluster.url("gateway")}) as both:
            second.start()
            yield both
    finally:
        cluster.execute("DROP DATABASE IF EXISTS gateway WITH (FORCE)")


def test_mail_that_one_node_accepts_shows_in_idle_on_the_other(nodes: tuple[Gateway, Gateway]) -> None:
    first, second = nodes
    account = first.inbox("shared@mail.test")
    client = second.imap(*account)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    octets = new_message(account[0], account[0]).as_bytes()
    with first.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0]], octets)
    while not (line := client.readline()).startswith(b"* 1 EXISTS"):
        assert line.startswith(b"* "), line
    client.send(b"DONE\r\n")
    client.readline()
    data = client.fetch("1", "(BODY.PEEK[])")[1]
    assert isinstance(data[0], tuple)
    assert data[0][1].endswith(octets[octets.index(b"\r\n\r\n") :])
    client.logout()


def test_a_key_revoked_on_one_node_ends_the_sessions_of_the_other(nodes: tuple[Gateway, Gateway]) -> None:
    first, second = nodes
    account = first.inbox("revoked@mail.test")
    client = second.imap(*account)
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    first.run("key", "revoke", account[1])
    assert client.readline().startswith(b"* BYE")
    client.shutdown()


def test_commands_and_doctor_on_postgresql(nodes: tuple[Gateway, Gateway]) -> None:
    first, second = nodes
    assert {row["level"] for row in second.json("doctor", "--store")} <= {"ok", "warning"}
    done = first.cli("backup", "x")
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert "postgres:" not in done.stderr

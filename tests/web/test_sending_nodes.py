"""Two gateways on one PostgreSQL: a request that both get at once is carried out by one of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port
from tests.support.api import Answer, Api
from tests.support.gateway import Gateway, two_nodes

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""


@pytest.fixture
def nodes(tmp_path: Path, postgresql_url: str) -> Iterator[tuple[Gateway, Gateway]]:
    first = Gateway(tmp_path / "first", SETTINGS, web=free_port())
    second = Gateway(tmp_path / "second", SETTINGS, web=free_port())
    with two_nodes(first, second, {"GATEWAY_STORE__URL": postgresql_url}) as both:
        second.start()
        yield both


def test_one_of_two_nodes_sends(nodes: tuple[Gateway, Gateway]) -> None:
    inbox = f"/api/v1/inboxes/{nodes[0].address}"
    rounds = 10
    answers: dict[int, list[Answer]] = {number: [] for number in range(rounds)}
    begin = threading.Barrier(len(nodes))

    def ask(node: Gateway) -> None:
        with Api(node, node.key) as client:
            for number in range(rounds):
                body = {"to": [node.address], "subject": str(number), "text": "x"}
                begin.wait(60)
                answers[number].append(client.ask("POST", f"{inbox}/send", body, Idempotency_Key=str(number)))

    threads = [threading.Thread(target=ask, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for both in answers.values():
        assert [answer.status for answer in both] == [201, 201]
        assert both[0].body == both[1].body
        assert [answer.headers.get("idempotency-replayed") for answer in both].count("true") == 1
    with nodes[1].imap() as client:
        assert client.select("INBOX", readonly=True)[1] == [str(rounds).encode()]
        assert client.select("Sent", readonly=True)[1] == [str(rounds).encode()]


def test_a_draft_is_sent_by_one_of_two_nodes(nodes: tuple[Gateway, Gateway]) -> None:
    first, second = nodes
    path = f"/api/v1/inboxes/{first.address}/drafts"
    with Api(first, first.key) as one, Api(second, second.key) as two:
        drafts = [one.post(path, {"to": [first.address], "subject": "x", "client_id": str(n)})["id"] for n in range(8)]
        assert two.post(path, {"client_id": "3"})["id"] == drafts[3]
        statuses: list[int] = []

        def send(client: Api) -> None:
            statuses.extend(client.ask("POST", f"{path}/{draft}/send").status for draft in drafts)

        threads = [threading.Thread(target=send, args=(client,)) for client in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201] * 8 + [404] * 8
        assert two.get(path)["items"] == []
    with second.imap() as client:
        assert client.select("INBOX", readonly=True)[1] == [b"8"]

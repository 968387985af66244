"""kill -9 while requests with an Idempotency-Key are under way: whoever asks again gets one mail, and its answer."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter
from pathlib import Path

from tests.servers.process import free_port
from tests.support.api import Answer, Api
from tests.support.gateway import Gateway, running

ROUNDS = 4
EACH = 12
SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""


def test_nothing_is_sent_twice_or_lost(tmp_path: Path) -> None:
    with running(Gateway(tmp_path, SETTINGS, web=free_port())) as gateway:
        first: dict[str, Answer] = {}
        for number in range(ROUNDS):
            keys = [f"{number}.{each}" for each in range(EACH)]
            _kill_amid(gateway, keys, first, after=1 + number * 3)
            gateway.start()
            with Api(gateway, gateway.key) as client:
                for key in keys:
                    answer = _ask(client, gateway, key)
                    assert answer.status == 201
                    assert answer.body == first.setdefault(key, answer).body
        with gateway.imap() as client:
            client.select("INBOX", readonly=True)
            told = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            subjects = Counter(row[1].decode().split(":")[1].strip() for row in told if isinstance(row, tuple))
            assert subjects == Counter(dict.fromkeys(first, 1))
            assert len(first) == ROUNDS * EACH
            assert client.select("Sent", readonly=True)[1] == [str(len(first)).encode()]


def _ask(client: Api, gateway: Gateway, key: str) -> Answer:
    body = {"to": [gateway.address], "subject": key, "text": "x", "attachments": [{"content": "QUJD" * 30_000}]}
    return client.ask("POST", f"/api/v1/inboxes/{gateway.address}/send", body, Idempotency_Key=key)


def _kill_amid(gateway: Gateway, keys: list[str], answered: dict[str, Answer], after: int) -> None:
    """SIGKILL as soon as `after` requests were answered, while others are under way."""
    enough, done = threading.Event(), 0

    def work(mine: list[str]) -> None:
        nonlocal done
        with Api(gateway, gateway.key) as client:
            for key in mine:
                try:
                    answer = _ask(client, gateway, key)
                except (OSError, http.client.HTTPException, ssl.SSLError):
                    return
                if answer.status == 201:
                    answered[key] = answer
                done += 1
                if done >= after:
                    enough.set()

    threads = [threading.Thread(target=work, args=(keys[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    gateway.kill()
    for thread in threads:
        thread.join()

"""A store and sessions on it for all examples of a property test: each has connections, and a place, of its own."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from gateway.model.ids import InboxId
from gateway.store import inboxes, pods
from gateway.store.db import Tx
from tests.transcripts.harness import NOW, Harness, template


class World:
    """`runner` has the loop that everything runs on; `number` counts the examples; `monkeypatch` ends with the test."""

    def __init__(self, directory: Path, url: str, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
        template()
        self.monkeypatch = monkeypatch
        self.runner = asyncio.Runner()
        self.harness = Harness(directory, url=url, **settings)
        self.runner.run(self.harness.__aenter__())
        self.number = itertools.count()

    def close(self) -> None:
        """With the consistency check of the store."""
        self.runner.run(self.harness.__aexit__(None, None, None))
        self.runner.close()

    async def inbox(self) -> str:
        """The address of a new one."""
        address = f"w{next(self.number)}@example.org"

        def unit(tx: Tx) -> InboxId:
            pod = pods.pods(tx)[0]
            return inboxes.create_inbox(tx, pod.id, address, now=NOW).id

        self.harness.inboxes[address] = await self.harness.db.write(unit)
        return address

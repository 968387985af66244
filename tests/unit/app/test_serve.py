"""The serving process around a gateway that is none: what comes when."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import gateway.app.gateway
from gateway.app import serve
from gateway.config import Config, load


class Scripted:
    """Stands for the Gateway: a SIGHUP comes while it starts, a SIGTERM once it was reloaded."""

    events: list[str]
    fails = False

    def __init__(self, config: Config, reactor: Any, **_: Any) -> None:
        type(self).events = self.events = []

    async def start(self, **_: Any) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        for _turn in range(100):  # time in which a reload would be over
            await asyncio.sleep(0.001)
        if self.fails:
            raise RuntimeError("no ports")
        self.events.append("started")

    async def reload(self, config: Config) -> None:
        self.events.append("reloaded")
        os.kill(os.getpid(), signal.SIGTERM)

    async def close(self, seconds: float) -> None:
        self.events.append("closed")

    def welcome(self, made: None) -> str:
        return ""

    def summary(self) -> str:
        return ""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> serve.Process:
    monkeypatch.setattr(gateway.app.gateway, "Gateway", Scripted)
    monkeypatch.setattr(serve, "configure_logs", lambda config: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    path = tmp_path / "config.toml"
    path.write_text("")
    return serve.Process(load(str(path)), init=False, announce=lambda text: None)


def test_a_reload_asked_for_during_the_start_comes_after_it(process: serve.Process) -> None:
    asyncio.run(process._main(None))
    assert Scripted.events == ["started", "reloaded", "closed"]


def test_a_failed_start_takes_the_waiting_reload_with_it(
    process: serve.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "fails", True)
    with pytest.raises(RuntimeError, match="no ports"):
        asyncio.run(process._main(None))
    assert Scripted.events == ["closed"]

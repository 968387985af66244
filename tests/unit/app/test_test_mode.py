from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.app import test_mode
from gateway.app.datadir import TEST_MARK
from gateway.config import Config, NamedRelay, Relay, Secret, Store
from gateway.model.errors import ConfigError
from gateway.outbound import dial
from gateway.outbound.errors import ConnectFailed


def test_what_leads_out_of_a_configuration_does_not_count(tmp_path: Path) -> None:
    given = Config(
        relay=Relay(host="relay.example"), relays=(NamedRelay(name="x", hosts=("relay.example",)),),
        store=Store(data_dir=Path("/var/lib/gateway"), url=Secret("postgresql://u:p@db/mail")),
    )  # fmt: skip
    with test_mode.prepared(given, tmp_path / "data", free_ports=True, web=True) as made:
        config = made.config
        assert (config.relay, config.relays, config.route) == (Config().relay, (), ())
        assert config.database_url == f"sqlite:///{tmp_path / 'data' / 'gateway.db'}"
        assert {listener.address for listener in config.listener} == {"127.0.0.1"}
        assert made.ports.keys() == {"imaps", "imap", "smtps", "smtp", "web"}
        assert not config.metrics.enabled


def test_only_what_it_made_is_opened(tmp_path: Path) -> None:
    test_mode.mark(tmp_path / "new")
    (tmp_path / "new" / "gateway.db").touch()
    test_mode.mark(tmp_path / "new")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "gateway.db").touch()
    with pytest.raises(ConfigError, match="was not made by test mode"):
        test_mode.mark(tmp_path / "other")
    assert not (tmp_path / "other" / TEST_MARK).exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with (
        test_mode.prepared(None, tmp_path / "a", free_ports=True, web=False) as one,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(test_mode, "_PORTS", (("imaps", "imap", "tls", one.ports["imaps"]),))
        with (
            pytest.raises(ConfigError, match=f"{one.ports['imaps']} is taken; --free-ports"),
            test_mode.prepared(None, tmp_path / "b", free_ports=False, web=False),
        ):
            raise AssertionError("it began")


def test_nothing_is_dialled_once_the_ways_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "_closed", "")
    dial.close("closed for a test")
    with pytest.raises(ConnectFailed, match="closed for a test"):
        asyncio.run(dial.dial("127.0.0.1", 1, allow_private=True, patience=1))
    with pytest.raises(OSError, match="closed for a test"):
        asyncio.run(dial.system_resolver("localhost", 1))

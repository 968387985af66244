"""Connectors as programs make and change them: options above presets, secrets sealed, one version at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.given import Given, from_tables
from gateway.connectors.service import Connectors
from gateway.fields.setting import Secret
from gateway.fields.values import Source
from gateway.model.errors import AlreadyExists, InvalidRequest, NotFound
from gateway.store import addresses
from gateway.store.addresses import AddressKind
from gateway.store.connectors.rows import Changed
from gateway.store.db import Database
from gateway.store.master_key import KeyFile
from gateway.store.sealing import MissingKey
from gateway.store.vault import Vault
from tests.store.helpers import NOW, make_inbox

ADDRESS = "me@elsewhere.test"


def given(**sections: dict[str, Any]) -> Given:
    return from_tables(sections, Source("a table", Path(), {}))


def service(db: Database, tmp_path: Path) -> Connectors:
    return Connectors(db, Vault(db, KeyFile(tmp_path / "master.key")), clock=lambda: NOW)


async def test_what_was_given_is_kept_and_secrets_are_sealed(db: Database, tmp_path: Path) -> None:
    connectors = service(db, tmp_path)
    inbox = await make_inbox(db)
    said = given(
        imap={"host": "imap.test", "secret": "hunter2", "proxy": "socks5://p.test:1080", "proxy_secret": "x1y"},
        smtp={"host": "smtp.elsewhere.test"}, sync={"mode": "two-way", "interval": 7},
    )  # fmt: skip
    made = await connectors.add("work", ADDRESS, said, pod_id=inbox.pod_id, inbox_id=inbox.id)
    assert (made.row.provider, made.row.mode, made.row.interval_s) == ("custom", "two-way", 420)
    assert made.options.smtp.secret == Secret("hunter2"), "one account, one password"
    for octets in (made.row.imap_secret, made.row.options.encode(), made.row.smtp_secret or b""):
        assert octets is not None
        assert b"hunter2" not in octets
        assert b"x1y" not in octets
    again = service(db, tmp_path)
    found = await again.find("work")
    assert found == made == await again.get(made.row.id) == await again.find(ADDRESS)
    assert "hunter2" not in repr(found)
    kinds = {row.address: row.kind for row in await db.read(lambda rx: addresses.addresses(rx, inbox.id))}
    assert kinds[ADDRESS] is AddressKind.EXTERNAL


async def test_an_empty_password_says_that_sending_needs_no_login(db: Database, tmp_path: Path) -> None:
    connectors = service(db, tmp_path)
    inbox = await make_inbox(db)
    said = given(imap={"host": "imap.test", "secret": "hunter2"}, smtp={"host": "smtp.test", "secret": ""})
    made = await connectors.add("work", ADDRESS, said, pod_id=inbox.pod_id, inbox_id=inbox.id)
    found = await connectors.find("work")
    assert found == made
    assert (found.options.imap.secret, found.options.smtp.secret) == (Secret("hunter2"), Secret(""))
    back = await connectors.change(found, given(), unset={"smtp": frozenset({"secret"})})
    assert (await connectors.get(back.row.id)).options.smtp.secret == Secret("hunter2"), "one account, one password"


async def test_a_change_keeps_the_rest_and_can_take_back(db: Database, tmp_path: Path) -> None:
    connectors = service(db, tmp_path)
    inbox = await make_inbox(db)
    said = given(imap={"host": "a.test", "port": 1143, "secret": "one"})
    first = await connectors.add("work", ADDRESS, said, pod_id=inbox.pod_id, inbox_id=inbox.id)
    second = await connectors.change(first, given(imap={"secret": "two"}, sync={"push": False}), name="play")
    assert (second.row.name, second.options.imap.port, second.options.imap.secret) == ("play", 1143, Secret("two"))
    assert not second.options.sync.push
    with pytest.raises(Changed):
        await connectors.change(first, given(imap={"port": 1}))
    third = await connectors.change(
        second, Given(), unset={"imap": frozenset({"port", "secret"}), "sync": frozenset({"push"})}
    )
    assert (third.options.imap.port, third.options.sync.push) == (993, True)
    assert third.row.imap_secret is None
    with pytest.raises(InvalidRequest, match=r"imap\.after_fetch"):
        await connectors.change(third, given(imap={"after_fetch": "seen"}))
    assert await connectors.find("play") == third


async def test_an_inbox_is_made_where_none_is_given(db: Database, tmp_path: Path) -> None:
    connectors = service(db, tmp_path)
    inbox = await make_inbox(db)
    made = await connectors.add("g", "me@gmail.com", Given(), pod_id=inbox.pod_id)
    assert made.row.inbox_id != inbox.id
    assert (made.row.provider, made.options.imap.host) == ("google", "imap.gmail.com")
    with pytest.raises(AlreadyExists):
        await connectors.add("g", "you@gmail.com", Given(), pod_id=inbox.pod_id)
    with pytest.raises(InvalidRequest, match=r"imap\.host"):
        await connectors.add("h", "you@corp.test", Given(), pod_id=inbox.pod_id)
    with pytest.raises(NotFound):
        await connectors.find("h")


async def test_without_its_key_a_connector_is_not_lost(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    said = given(imap={"host": "a.test", "secret": "one"})
    made = await service(db, tmp_path).add("work", ADDRESS, said, pod_id=inbox.pod_id, inbox_id=inbox.id)
    key = tmp_path / "master.key"
    aside = key.rename(tmp_path / "aside")
    with pytest.raises(MissingKey, match="put it back"):
        await service(db, tmp_path).find("work")
    aside.rename(key)
    assert await service(db, tmp_path).find("work") == made

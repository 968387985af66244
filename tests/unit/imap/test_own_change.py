"""A session's own changes: what they ask of the store, and when the state follows without asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model.flags import ANSWERED, FLAGGED
from gateway.store import changes, messages
from gateway.store.db import Wake, WakeKind, joined
from gateway.store.sqlite import SqliteRx, SqliteTx
from gateway.store.statements import Stmt
from tests.transcripts.harness import Harness
from tests.transcripts.play import play

Statements = list[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """The first two words of each statement that units and reads run, but for those that only read keywords."""
    words: Statements = []
    write, read = SqliteTx._execute, SqliteRx.all

    def written(tx: SqliteTx, stmt: Stmt, params: dict[str, object]) -> object:
        words.append(" ".join(stmt.for_sqlite().sql.split()[:2]))
        return write(tx, stmt, params)

    def looked(rx: SqliteRx, stmt: Stmt, /, **params: object) -> list[tuple[object, ...]]:
        words.append(" ".join(stmt.for_sqlite().sql.split()[:2]))
        return read(rx, stmt, **params)

    monkeypatch.setattr(SqliteTx, "_execute", written)
    monkeypatch.setattr(SqliteRx, "all", looked)
    return words


def test_a_change_of_ones_own_is_not_read_back(tmp_path: Path, asked: Statements) -> None:
    async def body(harness: Harness) -> None:
        for _ in range(300):
            await harness.deliver(b"x: y\r\n\r\n")
        one, two = await harness.logged_in(), await harness.logged_in()
        await one.run(b"SELECT INBOX")
        await two.run(b"SELECT INBOX")
        for command in (b"STORE 7 +FLAGS (\\Flagged)", b"STORE 1:* +FLAGS.SILENT (\\Flagged \\Deleted)"):
            asked.clear()
            await one.run(command)
            assert asked == ["SELECT i.modseq,", "UPDATE message_flags", "UPDATE inbox", "UPDATE mailbox"]
        asked.clear()
        await one.run(b"UID EXPUNGE 1:250")
        assert asked == [
            "SELECT m.uid,", "INSERT INTO", "DELETE FROM", "DELETE FROM", "SELECT i.modseq,", "UPDATE inbox",
            "UPDATE mailbox", "INSERT INTO",
        ]  # fmt: skip
        asked.clear()
        assert len(await two.run(b"NOOP")) == 250 + 50 + 1
        assert asked == []

    play(tmp_path, body)


def test_the_store_is_looked_at_where_the_state_stands_elsewhere(
    tmp_path: Path, asked: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(harness: Harness) -> None:
        for _ in range(3):
            await harness.deliver(b"x: y\r\n\r\n")
        client = await harness.logged_in()
        await client.run(b"SELECT INBOX")
        mailbox = client.session.selected.shared.state.mailbox_id  # type: ignore[union-attr]
        # Another's change, whose wake-up is still to come when the session's own unit has run.
        lost = monkeypatch.context()
        with lost as patch:
            patch.setattr(harness.db, "_publish", lambda wakes: None)
            await harness.db.write(
                lambda tx: messages.store_flags(tx, harness.inbox, mailbox, ((2, 2),), "add", ANSWERED),
                inboxes=(harness.inbox,),
            )
        assert await client.run(b"STORE 1 +FLAGS (\\Flagged)") == [
            b"* 1 FETCH (FLAGS (\\Flagged))",
            b"* 2 FETCH (UID 2 FLAGS (\\Answered))",
            b"x OK STORE completed",
        ]
        assert "SELECT highest_modseq," in asked
        # A state that is not what the store has is mended, not trusted.
        state = client.session.selected.shared.state  # type: ignore[union-attr]
        state.masks[2] = FLAGGED
        asked.clear()
        assert await client.run(b"STORE 2:3 +FLAGS (\\Flagged)") == [
            b"* 2 FETCH (FLAGS (\\Answered \\Flagged))",
            b"* 3 FETCH (FLAGS (\\Flagged))",
            b"x OK STORE completed",
        ]
        assert "SELECT highest_modseq," in asked

    play(tmp_path, body)


def test_what_somebody_else_has_just_done_too_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store had nothing to change, and the state did not know it yet."""

    async def body(harness: Harness) -> None:
        for _ in range(3):
            await harness.deliver(b"x: y\r\n\r\n")
        client = await harness.logged_in()
        await client.run(b"SELECT INBOX")
        shared = client.session.selected.shared  # type: ignore[union-attr]
        mailbox = shared.state.mailbox_id
        await shared.fresh()
        with monkeypatch.context() as patch:
            patch.setattr(type(shared), "woken", lambda shared, modseq: None)  # it is still to come
            await harness.db.write(
                lambda tx: messages.store_flags(tx, harness.inbox, mailbox, ((2, 3),), "add", ANSWERED),
                inboxes=(harness.inbox,),
            )
        assert not shared.stale
        assert await client.run(b"STORE 2 +FLAGS (\\Answered)") == [
            b"* 2 FETCH (FLAGS (\\Answered))",
            b"* 3 FETCH (UID 3 FLAGS (\\Answered))",
            b"x OK STORE completed",
        ]

    play(tmp_path, body)


def test_who_knows_as_much_as_a_wake_up_need_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = changes.changes_since

    def counted(*args: object, **options: object) -> object:
        looks.append(1)
        return look(*args, **options)  # type: ignore[call-overload]

    async def body(harness: Harness) -> None:
        await harness.deliver(b"x: y\r\n\r\n")
        client = await harness.logged_in()
        await client.run(b"SELECT INBOX")
        shared = client.session.selected.shared  # type: ignore[union-attr]
        await shared.fresh()
        monkeypatch.setattr(changes, "changes_since", counted)
        known = shared.state.highest_modseq
        shared.woken(known)
        assert not shared.stale
        shared.woken(known + 5)
        assert shared.stale
        await shared.fresh()
        assert (looks, shared.stale) == ([1], False)  # it named what is not there: one look, and no more
        shared.woken(None)
        assert shared.stale
        await shared.fresh()
        assert looks == [1, 1]

    play(tmp_path, body)


def test_wake_ups_of_one_place_are_one() -> None:
    def wakes(*modseqs: int | None) -> list[int | None]:
        return [wake.modseq for wake in joined(Wake(WakeKind.MAIL, 1, 2, modseq) for modseq in modseqs)]  # type: ignore[arg-type]

    assert wakes(3, 4, 5) == [5]
    assert wakes(3, None, 5) == [None]
    assert wakes(None) == [None]
    assert len(joined([Wake(WakeKind.MAIL, None), Wake(WakeKind.KEYS, None)])) == 2

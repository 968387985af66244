"""What strangers write, and callers that do not read: nothing of it reaches a terminal, a shell or another action."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.remote_files import whole_file
from gateway.cli.remote_targets import CommandTarget, DirectoryTarget, environment
from gateway.connectors.remote.errors import RemoteFailed, ValidityChanged
from gateway.connectors.remote.polling import NewMessage, TargetFailed
from gateway.connectors.remote.values import MessageFacts
from gateway.control.operations import remote
from gateway.model import errors
from gateway.model.errors import AlreadyExists, CannotChange, InvalidRequest, LimitReached
from gateway.outbound.failure import Failure, refuses_login
from gateway.store.db import Database
from tests.connectors.remote_kit import at, collected, hand
from tests.connectors.test_remote_polling import polling
from tests.support.upstream import DOVECOT, FakeUpstream

pytestmark = pytest.mark.usefixtures("runner")

EVIL = "&ABs-[2JTrash"
"""ESC [ 2 J in a folder's name: a terminal would be cleared."""


async def test_names_of_folders_are_nothing_for_a_terminal() -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1, EVIL: 1})) as it:
        for action in (
            lambda actions: actions.status("[2JTrashh"),
            lambda actions: actions.status(EVIL, expect=7),
            lambda actions: actions.move(EVIL, at("1"), EVIL),
        ):
            with pytest.raises((RemoteFailed, ValidityChanged, CannotChange)) as caught:
                async with it.open() as actions:
                    await action(actions)
            assert str(caught.value).isprintable(), repr(str(caught.value))
            assert "[2JTrash" in str(caught.value)


async def test_an_encoding_that_nobody_knows_is_not_passed_off_as_decoded() -> None:
    mail = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: uuencode\r\n\r\nxyz\r\n"
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": [mail]})) as it, it.open() as actions:
        await actions.message("INBOX", at("1"))
        with pytest.raises(InvalidRequest, match="unknown"):
            await collected(actions.octets(1, "1", decoded=True))
        assert await collected(actions.octets(1, "1")) == b"xyz\r\n"


def new(subject: str = "hello", number: int = 7) -> NewMessage:
    facts = MessageFacts(number, 1_700_000_000, 12, ("\\Seen", "$X"), "a@b.test", "c@d.test", subject, "<m@b.test>")
    return NewMessage("work", "p", "INBOX", 9, facts)


def test_facts_in_the_environment_are_texts_on_one_line() -> None:
    found = environment(new("a\r\nb\0c\x1b\x9d\u2028d" + "x" * 10))
    assert all(value.isprintable() for value in found.values())
    assert found["MAIL_SUBJECT"] == "a  b c   d" + "x" * 10
    assert (found["MAIL_UID"], found["MAIL_UIDVALIDITY"], found["MAIL_FLAGS"]) == ("7", "9", "\\Seen $X")
    assert not [name for name in found if not name.startswith("MAIL_")], "no setting of ours can be made from outside"


async def test_a_command_gets_the_message_and_its_status_counts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (tmp_path / "mail").open("wb+") as content:
        content.write(b"octets")
        content.seek(0)
        await CommandTarget(f'cat > {out}; printf %s "$MAIL_SUBJECT" >> {out}').deliver(new("$(id); `id`"), content)
    assert out.read_bytes() == b"octets$(id); `id`"
    with pytest.raises(TargetFailed, match="status 9 at UID 7"):
        await CommandTarget("exit 9").deliver(new(), None)
    with pytest.raises(TargetFailed):
        await CommandTarget("kill -9 $$").deliver(new(), None)


async def test_a_command_ends_with_who_began_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    task = asyncio.create_task(CommandTarget(f"echo $$ > {started}; exec sleep 1000").deliver(new(), None))
    pid = int(await asyncio.to_thread(started.read_text))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_message_that_comes_again_is_the_same_file(tmp_path: Path) -> None:
    target = DirectoryTarget(tmp_path / "made")
    for octets in (b"first", b"again"):
        with (tmp_path / "mail").open("wb+") as content:
            content.write(octets)
            content.seek(0)
            await target.deliver(new(), content)
        assert [(path.name, path.read_bytes()) for path in (tmp_path / "made").iterdir()] == [("9.7.eml", octets)]


def test_a_file_is_there_when_all_of_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"before")
    with pytest.raises(AlreadyExists), whole_file(there):
        raise AssertionError("it must not be opened")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "half") as file:
        file.write(b"%d" % (1 // len(list(tmp_path.glob("half")))))
    with pytest.raises(AlreadyExists), whole_file(tmp_path / "raced"):
        (tmp_path / "raced").write_bytes(b"somebody else's")
    with whole_file(tmp_path / "whole") as file:
        file.write(b"all of it")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raced", "there", "whole"]
    assert (there.read_bytes(), (tmp_path / "whole").read_bytes()) == (b"before", b"all of it")
    assert (tmp_path / "raced").read_bytes() == b"somebody else's"


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_crosses_the_control_socket_as_what_it_is(failure: Failure) -> None:
    kind = remote.KINDS.get(failure, InvalidRequest)
    assert getattr(errors, kind.__name__) is kind
    assert (kind is errors.AuthenticationFailed) is refuses_login(failure), "a poller stops before an account is locked"


async def test_a_caller_that_does_not_read_is_left(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_S", 0.05)

    async def never(frame: Any) -> None:
        await asyncio.Event().wait()

    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 1})) as it:
        params = {"name": "work", "mailbox": "INBOX", "message": "1"}
        with pytest.raises(LimitReached, match="does not read"):
            await it.caller.call("remote.download", params, on_frame=never)

        async def silent() -> Any:
            await asyncio.Event().wait()
            yield b""

        with pytest.raises(LimitReached, match="does not come"):
            await it.caller.call("remote.append", {"name": "work", "mailbox": "INBOX", "size": 5}, feed=silent())
        assert len(await it.caller.call("remote.list", {"name": "work"})) > 1, "the account is free again"
        assert len(it.server.account.mailbox("INBOX").places) == 1

"""gateway remote: working by hand in an account on a real Dovecot, with a server running and without one."""

from __future__ import annotations

import base64
import imaplib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.test_connector_sync import at, connect, put
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway


@contextmanager
def working(make_gateway: Callable[..., Gateway], dovecot: Dovecot) -> Iterator[tuple[Gateway, imaplib.IMAP4_SSL]]:
    """A running gateway with the connector `work`, and another client of its account."""
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    with at(dovecot, user) as account:
        gateway.start()
        connect(gateway, dovecot, user, "--set", "sync.enabled=no", "--set", "sync.push=no")
        yield gateway, account
        gateway.stop()


def refused(gateway: Gateway, *arguments: str) -> str:
    done = gateway.cli("remote", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def peak(gateway: Gateway) -> int:
    """The most memory that the server has had, in KiB."""
    lines = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def flags_of(account: imaplib.IMAP4_SSL, uid: int) -> bytes:
    account.select("INBOX", readonly=True)
    row = account.uid("FETCH", str(uid), "(FLAGS)")[1][0]
    assert isinstance(row, bytes)
    return row


def test_everything_is_done_there_and_can_be_looked_at(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        for number in range(6):
            put(account, "INBOX", f"subject {number}")
        listed = {row["mailbox"]: row for row in gateway.json("remote", "list", "work")}
        assert (listed["INBOX"]["messages"], listed["INBOX"]["unseen"]) == (6, 6)
        assert listed["Trash"]["role"] == "\\Trash"
        assert "subject 5" in gateway.run("remote", "search", "work")
        status = gateway.json("remote", "status", "work", "INBOX")
        validity = str(status["uidvalidity"])
        assert (status["messages"], status["uidnext"]) == (6, 7)

        made = gateway.json("remote", "create", "work", "Old/Über")
        assert any(b"&ANw-ber" in line for line in account.lsub()[1] if isinstance(line, bytes))
        assert made["mailbox"] == "Old/Über"

        done = gateway.json("remote", "flags", "add", "work", "INBOX", "1:2,*", "seen", "$Done")
        assert done["uids"] == [1, 2, 6]
        assert b"\\Seen" in flags_of(account, 6)
        assert b"$Done" in flags_of(account, 6)
        gateway.run("remote", "flags", "remove", "work", "INBOX", "2", "seen", "--uid", "--uidvalidity", validity)
        assert b"\\Seen" not in flags_of(account, 2)
        gateway.run("remote", "flags", "set", "work", "INBOX", "*")
        assert b"FLAGS ()" in flags_of(account, 6).replace(b"\\Recent", b"")
        found = gateway.json("remote", "search", "work", "INBOX", "--read", "--terms", "KEYWORD $Done", "--from", "a@b")
        assert (found["uids"], found["total"]) == ([1], 1)
        assert gateway.json("remote", "search", "work", "INBOX", "--since", "2100-01-01")["uids"] == []

        copied = gateway.json("remote", "copy", "work", "INBOX", "1:2", "Old/Über")
        assert copied["to_uids"] == [1, 2]
        moved = gateway.json("remote", "move", "work", "INBOX", "3", "Old/Über", "--uid", "--uidvalidity", validity)
        assert (moved["uids"], moved["to_uids"], moved["left_deleted"]) == ([3], [3], False)
        assert "to Trash" in gateway.run("remote", "delete", "work", "INBOX", "4")
        gateway.run("remote", "delete", "work", "INBOX", "5", "--permanent")
        assert gateway.json("remote", "status", "work", "\\Trash")["messages"] == 1
        assert gateway.json("remote", "search", "work", "INBOX")["uids"] == [6, 2, 1]

        renamed = gateway.json("remote", "rename", "work", "Old/Über", "Older")
        assert renamed["uidvalidity"] == made["uidvalidity"]
        assert gateway.cli("remote", "delete-mailbox", "work", "Older", stdin=b"n\n").returncode != 0
        gateway.run("remote", "delete-mailbox", "work", "Older", "--yes")
        assert "no folder Older" in refused(gateway, "status", "work", "Older")
        assert not any(b"Older" in line for line in account.list()[1] if isinstance(line, bytes))

        wrong = refused(gateway, "flags", "add", "work", "INBOX", "1", "seen", "--uidvalidity", str(int(validity) + 1))
        assert f"has the UIDVALIDITY {validity} now" in wrong
        assert "no folder Inbax; did you mean INBOX?" in refused(gateway, "download", "work", "Inbax", "1")
        assert "names no messages" in refused(gateway, "download", "work", "INBOX", "one")
        assert "There is no such message" in refused(gateway, "download", "work", "INBOX", "99")


def test_octets_go_both_ways(make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        data = os.urandom(15_000_000)
        lines = base64.encodebytes(data).decode()
        mail = (
            "From: a@b.test\nMessage-ID: <big@b.test>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
            "--x\nContent-Type: text/plain\n\nhello\n--x\nContent-Type: application/octet-stream\n"
            f"Content-Transfer-Encoding: base64\n\n{lines}\n--x--\n"
        )
        local, sent = tmp_path / "local.eml", mail.replace("\n", "\r\n").encode()
        local.write_text(mail)
        gateway.run("remote", "list", "work")
        before = peak(gateway)
        filed = gateway.json(
            "remote", "append", "work", "INBOX", str(local), "--flag", "seen", "--date", "2019-05-04T10:00+02:00"
        )
        assert (filed["uid"], filed["size"]) == (1, len(sent))
        row = account.select("INBOX", readonly=True) and account.fetch("1", "(FLAGS INTERNALDATE)")[1][0]
        assert isinstance(row, bytes)
        assert b"\\Seen" in row
        assert b"04-May-2019 08:00:00 +0000" in row or b"04-May-2019 10:00:00 +0200" in row

        back = tmp_path / "back.eml"
        told = gateway.json("remote", "download", "work", "INBOX", "*", "-o", str(back))
        assert back.read_bytes() == sent
        assert (told["uid"], told["octets"], told["uidvalidity"]) == (1, len(sent), filed["uidvalidity"])
        part = tmp_path / "part"
        gateway.run("remote", "download", "work", "INBOX", "1", "--uid", "--part", "2", "--decoded", "-o", str(part))
        assert part.read_bytes() == data
        assert gateway.run("remote", "download", "work", "INBOX", "1", "--part", "1") == "hello"
        assert "exists already" in refused(gateway, "download", "work", "INBOX", "1", "-o", str(back))
        missing = tmp_path / "missing"
        assert "no part 7" in refused(gateway, "download", "work", "INBOX", "1", "--part", "7", "-o", str(missing))
        assert sorted(path.name for path in tmp_path.glob("*")) == sorted(
            {"local.eml", "back.eml", "part"} | {path.name for path in tmp_path.iterdir() if path.is_dir()}
        ), "nothing half done is left"
        pipe = b"Subject: x\r\n\r\nfrom a pipe\r\n"
        done = gateway.cli("remote", "append", "work", "Drafts", "-", "--json", stdin=pipe)
        assert json.loads(done.stdout)["uid"] == 1
        assert "is empty" in gateway.cli("remote", "append", "work", "Drafts", "-").stderr
        assert peak(gateway) - before < 12 * 1024, "KiB; a message of 20 MB is not held"


def test_it_works_without_a_server_and_in_an_account_that_does_not_answer(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "one")
        gateway.run("connector", "set", "work", "--set", "imap.secret=wrong")
        assert "auth_rejected: " in refused(gateway, "list", "work")
        gateway.run("connector", "set", "work", "--set", f"imap.secret={dovecot.password}")
        gateway.stop()
        assert gateway.json("remote", "search", "work")["total"] == 1
        assert "Subject: one" in gateway.run("remote", "download", "work", "INBOX", "1")
        gateway.run("connector", "set", "work", "--set", "imap.port=1")
        assert refused(gateway, "list", "work").startswith("gateway: refused: ")
        gateway.start()
        events = gateway.json("connector", "events", "work", "--failed", "--logs")
        assert [(event["failure"], event["kind"], event["detail"]) for event in events] == [
            ("auth_rejected", "SYNC", {"action": "list"}), ("refused", "SYNC", {"action": "list"}),
        ]  # fmt: skip
        assert any("NO" in line for line in events[0]["log"])
        assert "wrong" not in str(events)
        assert "gateway remote list: " in gateway.run("connector", "events", "work")


def new(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway.cli("remote", "new", "work", "INBOX", "--poller", "p", *arguments)


def test_new_mail_is_handed_to_a_command(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "before")
        out = tmp_path / "out"
        write = f'echo "$MAIL_UID $MAIL_SUBJECT $MAIL_FROM" >> {out}; cat >> {out}.mail'
        assert new(gateway, "--exec", write).returncode == 0
        assert not out.exists(), "the first run begins now"
        for subject in ("one $(touch owned)", "two", "three"):
            put(account, "INBOX", subject)

        crash = f'echo "$MAIL_UID" >> {out}; test "$MAIL_UID" != 3 || kill -9 $PPID'
        assert new(gateway, "--exec", crash).returncode == -signal.SIGKILL
        assert out.read_text().split() == ["2", "3"]
        assert gateway.json("remote", "pollers", "work")[0]["uid"] == 2, "delivered, and not known to be"
        failed = new(gateway, "--exec", f'echo "$MAIL_UID" >> {out}; exit 3')
        assert failed.returncode == 1
        assert "status 3 at UID 3" in failed.stderr
        out.unlink()
        nested = f"{sys.executable} -m gateway --config {gateway.config_file} remote flags add work INBOX"
        done = new(gateway, "--exec", f'{write}; {nested} "$MAIL_UID" handled --uid > /dev/null', "--mark-read")
        assert done.returncode == 0, done.stderr
        assert out.read_text().splitlines() == ["3 two a@b.test", "4 three a@b.test"]
        assert b"Subject: two" in Path(f"{out}.mail").read_bytes()
        assert not Path("owned").exists()
        assert b"\\Seen" in flags_of(account, 4)
        assert b"handled" in flags_of(account, 4)
        assert b"\\Seen" not in flags_of(account, 2), "its command was killed"

        target = tmp_path / "mail"
        assert gateway.cli("remote", "new", "work", "INBOX", "--poller", "d", "--dir", str(target), "--from-start"
                           ).returncode == 0  # fmt: skip
        names = sorted(path.name for path in target.iterdir())
        assert [name.split(".")[1:] for name in names] == [[str(number), "eml"] for number in range(1, 5)]
        assert b"Subject: two" in (target / names[2]).read_bytes()

        gateway.stop()
        done = gateway.cli("remote", "new", "work", "INBOX", "--poller", "j", "--json", "--from-start", "--fetch")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["uid"] for line in lines] == [1, 2, 3, 4]
        assert b"Subject: two" in base64.b64decode(lines[2]["content"])
        assert lines[2]["uidvalidity"] == gateway.json("remote", "status", "work", "INBOX")["uidvalidity"]
        gateway.start()


def test_a_server_that_is_killed_between_delivery_and_cursor_loses_nothing(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        for subject in ("one", "two", "three"):
            put(account, "INBOX", subject)
        out = tmp_path / "out"
        crash = f'echo "$MAIL_UID" >> {out}; test "$MAIL_UID" != 2 || kill -9 {gateway.pid} 2> {out}.kill; true'
        done = new(gateway, "--from-start", "--exec", crash)
        # Who asks a server in the moment of its end hears of it; a moment later the store itself is asked.
        if done.returncode:
            assert "closed the control connection" in done.stderr
            assert new(gateway, "--exec", crash).returncode == 0
        delivered = out.read_text().split()
        assert delivered in (["1", "2", "3"], ["1", "2", "2", "3"]), "none is lost, and that one at most repeated"
        gateway.kill()
        gateway.start()
        assert gateway.json("remote", "pollers", "work")[0]["uid"] == 3
        assert new(gateway, "--exec", "exit 1").returncode == 0, "nothing is left"


@contextmanager
def polling(gateway: Gateway, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`gateway remote new`, ended by SIGINT, which must end it.

    A suite that a shell began in the background ignores SIGINT, and so would what it starts, as it should.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--config", str(gateway.config_file), "remote", "new", "work", "INBOX",
             "--poller", "p", "--from-start", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.communicate()


def test_it_ends_though_nobody_reads_what_it_writes(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "x" * 500_000)
        with polling(gateway, "--json", "--fetch", "--every", "1") as process:
            assert process.stdout is not None
            process.stdout.read(1)
        assert gateway.json("remote", "pollers", "work")[0]["uid"] == 0, "it was not taken"


def test_it_ends_though_its_command_does_not(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "one")
        pid = tmp_path / "pid"
        stubborn = f"trap '' TERM INT; echo $$ > {pid}.new; mv {pid}.new {pid}; while true; do sleep 0.1; done"
        with polling(gateway, "--exec", stubborn):
            wait_for(pid.exists, "the command")
        wait_for(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), "its end")


def test_it_ends_though_the_server_does_not_answer(make_gateway: Callable[..., Gateway], dovecot: Dovecot) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "one")
        with polling(gateway, "--json", "--every", "1") as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["uid"] == 1
            os.kill(gateway.pid, signal.SIGSTOP)
        os.kill(gateway.pid, signal.SIGCONT)


def test_it_looks_again_and_again_also_after_an_outage(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot, tmp_path: Path
) -> None:
    with working(make_gateway, dovecot) as (gateway, account):
        put(account, "INBOX", "one")
        with polling(gateway, "--json", "--every", "1") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["uid"] == 1
            put(account, "INBOX", "two")
            assert json.loads(process.stdout.readline())["uid"] == 2
            gateway.run("connector", "set", "work", "--set", "imap.port=1")
            assert b"refused: " in process.stderr.readline()
            put(account, "INBOX", "three")
            gateway.run("connector", "set", "work", "--set", f"imap.port={dovecot.imaps}")
            assert json.loads(process.stdout.readline())["uid"] == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["new", "w", "INBOX", "--poller", "p"], "one of --exec, --dir and --json"),
        (["new", "w", "INBOX", "--poller", "p", "--json", "--exec", "x"], "one of --exec, --dir and --json"),
        (["new", "w", "INBOX", "--poller", "p", "--dir", "x", "--no-fetch"], "--no-fetch has none"),
        (["download", "w", "INBOX", "1", "--json"], "give --output"),
        (["append", "w", "INBOX", "README.md", "--date", "yesterday"], "'yesterday' is no date"),
        (["list", "nobody"], "There is no connector nobody"),
        (["search", "w", "INBOX", "--terms", "1:5"], "terms may not name messages by number"),
        (["flags", "toggle", "w", "INBOX", "1", "seen"], "No such command 'toggle'"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(gateway: Gateway, arguments: list[str], reason: str) -> None:
    done = gateway.cli("remote", *arguments)
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr

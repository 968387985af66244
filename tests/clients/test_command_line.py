"""The command line beside a running server, and without one."""

from __future__ import annotations

import json
import mailbox
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.mail import new_message
from tests.servers.process import wait_for
from tests.support.gateway import Gateway


@pytest.fixture
def account(gateway: Gateway) -> tuple[str, str]:
    return gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["inbox", "show", "nobody@mail.test"], "There is no inbox nobody@mail.test"),
        (["inbox", "add", "x@nowhere.example"], "gateway domain add nowhere.example"),
        (["inbox", "add", "no address"], "That is no e-mail address"),
        (["key", "create", "--inbox", "nobody@mail.test"], "There is no inbox"),
        (["key", "revoke", "0000000000"], "There is no key"),
        (["pod", "delete", "default"], "delete them first"),
        (["domain", "delete", "mail.test"], "in use"),
        (["queue", "show", "0000"], "The queue has no message"),
        (["mailbox", "list", "nobody@mail.test"], "There is no inbox"),
        (["message", "export", "/nonexistent/x", "--inbox", "nobody@mail.test"], ""),
    ],
)
def test_an_error_is_one_line_and_a_non_zero_exit(gateway: Gateway, command: list[str], reason: str) -> None:
    done = gateway.cli(*command)
    assert done.returncode == 1
    assert done.stdout == ""
    line = one_line(done.stderr)
    assert line.startswith("gateway: ")
    assert reason in line


@pytest.mark.parametrize(
    "command",
    [["key", "create"], ["key", "create", "--all", "--pod", "x"], ["queue", "retry"], ["nonsense"],
     ["key", "create", "--all", "--expires", "yesterday"], ["inbox", "set", "x@mail.test"],
     ["key", "create", "--all", "--sent-copy", "maybe"]],
)
def test_a_misused_command_exits_with_2_and_says_why(gateway: Gateway, command: list[str]) -> None:
    done = gateway.cli(*command)
    assert done.returncode == 2
    assert "Error: " in done.stderr


def test_pods_domains_addresses_and_inboxes(gateway: Gateway) -> None:
    gateway.run("pod", "add", "acme")
    gateway.run("domain", "add", "acme.test", "--pod", "acme")
    gateway.run("inbox", "add", "Sales@ACME.test", "--name", "Sälès")
    gateway.run("address", "add", "@acme.test", "--inbox", "sales@acme.test")
    shown = gateway.json("inbox", "show", "sales@acme.test")
    assert (shown["address"], shown["pod"], shown["name"]) == ("sales@acme.test", "acme", "Sälès")
    assert [row["address"] for row in shown["addresses"]] == ["sales@acme.test", "@acme.test"]
    assert {row["name"] for row in shown["mailboxes"]} == {"INBOX", "Sent", "Drafts", "Trash", "Spam"}
    assert "acme.test" in gateway.run("domain", "list")
    gateway.run("inbox", "delete", "sales@acme.test", "--yes")
    assert gateway.json("inbox", "list", "--pod", "acme") == []
    (deleted,) = gateway.json("inbox", "list", "--pod", "acme", "--deleted")
    assert deleted["deleted_at"] is not None
    gateway.run("inbox", "undelete", "sales@acme.test")
    assert [row["address"] for row in gateway.json("inbox", "list", "--pod", "acme")] == ["sales@acme.test"]


def test_keys_show_their_text_once_and_end_when_revoked(gateway: Gateway, account: tuple[str, str]) -> None:
    made = gateway.json("key", "create", "--inbox", account[0], "--name", "laptop", "--permissions", "read,send",
                        "--expires", "30d")
    assert made["key"].startswith("gw_")
    assert made["permissions"] == ["read", "send"]
    rows = {row["id"]: row for row in gateway.json("key", "list", "--inbox", account[0])}
    assert rows[made["id"]]["state"] == "active"
    assert made["key"] not in json.dumps(rows)
    gateway.run("key", "revoke", made["id"])
    assert made["id"] not in [row["id"] for row in gateway.json("key", "list", "--inbox", account[0])]
    rows = {row["id"]: row for row in gateway.json("key", "list", "--inbox", account[0], "--all")}
    assert rows[made["id"]]["state"] == "revoked"


def test_quotas_are_set_and_taken_away(gateway: Gateway, account: tuple[str, str]) -> None:
    address, key = account

    def quota() -> bytes:
        imap = gateway.imap(address, key)
        _, (found,) = imap.getquota('""')
        imap.logout()
        return bytes(found)

    assert quota() == b'"" ()'
    assert "quota 2.0 GiB, 1000 messages" in gateway.run(
        "inbox", "set", address, "--quota-storage", "2G", "--quota-messages", "1000"
    )
    assert quota().startswith(b'"" (STORAGE ')
    assert quota().endswith(b" 2097152 MESSAGE 0 1000)")
    shown = gateway.json("inbox", "show", address)
    assert (shown["quota_storage"], shown["quota_messages"], shown["quota_mailboxes"]) == (2 << 30, 1000, None)
    gateway.run("inbox", "set", address, "--quota-storage", "none", "--quota-messages", "none")
    assert quota() == b'"" ()'


def test_sent_copies_follow_the_key_then_the_inbox(gateway: Gateway, account: tuple[str, str]) -> None:
    address = account[0]

    def sent_with(key: str) -> int:
        with gateway.smtp(address, key) as smtp:
            smtp.sendmail(address, [address], new_message(address, "sent copies").as_bytes())
        imap = gateway.imap(address, key)
        (count,) = imap.select("Sent", readonly=True)[1]
        imap.logout()
        return int(count or b"0")

    assert gateway.json("inbox", "show", address)["sent_copy"] == "auto"
    silent = gateway.json("key", "create", "--inbox", address, "--sent-copy", "never")
    assert silent["sent_copy"] == "never"
    assert sent_with(silent["key"]) == 0
    assert sent_with(account[1]) == 1
    gateway.run("inbox", "set", address, "--sent-copy", "never", "--name", "A. B.")
    gateway.run("inbox", "set", address, "--sent-copy", "never")
    shown = gateway.json("inbox", "show", address)
    assert (shown["sent_copy"], shown["name"]) == ("never", "A. B.")
    assert sent_with(account[1]) == 1
    assert sent_with(gateway.new_key("--inbox", address, "--sent-copy", "always")) == 2
    gateway.run("inbox", "set", address, "--name", "")
    assert gateway.json("inbox", "show", address)["name"] is None


def test_a_pod_key_opens_its_inboxes_and_no_other(gateway: Gateway, account: tuple[str, str]) -> None:
    gateway.run("pod", "add", "other")
    key = gateway.new_key("--pod", "default")
    gateway.imap(account[0], key).logout()
    stranger = gateway.new_key("--pod", "other")
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        gateway.imap(account[0], stranger)
    gateway.imap(account[0], gateway.new_key("--all")).logout()


@pytest.mark.parametrize("form", ["eml", "mbox", "maildir"])
def test_what_is_imported_is_seen_at_once_and_comes_back_by_export(
    gateway: Gateway, account: tuple[str, str], tmp_path: Path, form: str
) -> None:
    octets = [new_message(account[0], account[0], f"Nummer {number}").as_bytes() for number in range(3)]
    source = tmp_path / "source"
    if form == "eml":
        source.mkdir()
        for number, one in enumerate(octets):
            (source / f"{number}.eml").write_bytes(one)
    elif form == "mbox":
        box = mailbox.mbox(source)
        for one in octets:
            box.add(one)
        box.close()
    else:
        box_dir = mailbox.Maildir(source, create=True)
        for one in octets:
            entry = mailbox.MaildirMessage(one.replace(b"\r\n", b"\n"))
            entry.set_subdir("cur")
            entry.set_flags("FS")
            box_dir.add(entry)
    client = gateway.imap(*account)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    report = gateway.json("message", "import", str(source), "--inbox", account[0])
    assert (report["imported"], report["skipped"]) == (3, [])
    while not (line := client.readline()).startswith(b"* 3 EXISTS"):
        assert line.startswith(b"* "), line
    client.send(b"DONE\r\n")
    client.readline()
    client.shutdown()
    listed = gateway.json("message", "list", account[0])
    assert {row["subject"] for row in listed} == {"Nummer 0", "Nummer 1", "Nummer 2"}
    if form == "maildir":
        assert listed[0]["flags"] == ["\\Seen", "\\Flagged"]

    target = tmp_path / "target"
    report = gateway.json("message", "export", str(target), "--inbox", account[0], "--format", form)
    assert (report["exported"], report["skipped"]) == (3, [])
    again = gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")[0]
    gateway.run("message", "import", str(target), "--inbox", again, "--mailbox", "Archiv/2026")
    uids = [row["uid"] for row in gateway.json("message", "list", again, "--mailbox", "Archiv/2026")]
    found = [raw(gateway, again, "Archiv/2026", uid) for uid in uids]
    assert sorted(found) == sorted(octets)
    done = gateway.cli("message", "export", str(target), "--inbox", account[0], "--format", form)
    assert done.returncode == 1
    assert "exists already" in one_line(done.stderr)
    missing = tmp_path / "missing"
    done = gateway.cli("message", "export", str(missing), "--inbox", again, "--mailbox", "No", "--format", form)
    assert "There is no mailbox No" in one_line(done.stderr)
    assert not missing.exists()


def raw(gateway: Gateway, inbox: str, name: str, uid: int) -> bytes:
    done = gateway.octets("message", "show", inbox, str(uid), "--mailbox", name, "--raw")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_message_is_shown_with_its_text(gateway: Gateway, account: tuple[str, str]) -> None:
    with gateway.smtp(*account) as smtp:
        smtp.send_message(new_message(account[0], account[0]))
    shown = gateway.json("message", "show", account[0], "1")
    assert shown["subject"] == "Grüße – 日本 & mehr"
    assert "Zeile mit ü" in shown["text"]
    (attached,) = shown["attachments"]
    assert attached.startswith("application/octet-stream (")
    assert "Zeile mit ü" in gateway.run("message", "show", account[0], "1")
    assert gateway.cli("message", "show", account[0], "99").returncode == 1


def test_doctor_logs_in_and_sends_and_leaves_nothing_behind(gateway: Gateway, account: tuple[str, str]) -> None:
    findings = gateway.json("doctor", "--inbox", account[0])
    assert {row["level"] for row in findings} <= {"ok", "warning"}
    texts = " ".join(row["text"] for row in findings)
    assert "the message arrived" in texts
    assert gateway.json("message", "list", account[0]) == []
    assert gateway.json("message", "list", account[0], "--mailbox", "Sent") == []
    rows = gateway.json("key", "list", "--inbox", account[0], "--all")
    assert [row["state"] for row in rows if "doctor" in row["name"]] == ["revoked"]
    assert "every message's octets too" in gateway.run("doctor", "--store")


def test_doctor_finds_the_sent_mail_whatever_its_name(gateway: Gateway, account: tuple[str, str]) -> None:
    name = r'Post "Aus\Gang" (x)'
    client = gateway.imap(*account)
    assert client.rename("Sent", r'"Post \"Aus\\Gang\" (x)"')[0] == "OK"
    client.logout()
    gateway.run("doctor", "--inbox", account[0])
    assert gateway.json("message", "list", account[0], "--mailbox", name) == []


def test_doctor_names_what_is_wrong_and_what_to_do(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway('[relay]\nhost = "127.0.0.1"\nport = 1\nsecurity = "none"\nallow_private = true\n')
    (gateway.data_dir / "tls" / "server.pem").unlink()
    done = gateway.cli("doctor", "--json")
    assert done.returncode == 1
    problems = {row["area"]: row for row in json.loads(done.stdout) if row["level"] == "problem"}
    assert set(problems) == {"certificate", "relay 127.0.0.1", *(f"port {port}" for port in
                             (gateway.imaps, gateway.smtps, gateway.submission))}
    assert all(row["remedy"] for row in problems.values())
    assert "refused" in problems["relay 127.0.0.1"]["text"]
    assert gateway.cli("doctor", "--store").returncode == 0


def test_configuration_is_shown_without_its_secrets(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway('[relay]\nhost = "relay.test"\nuser = "u"\nsecret = "hunter2hunter2"\n', init=False)
    shown = gateway.json("config", "show")
    assert (shown["relay"]["host"], shown["relay"]["secret"]) == ("relay.test", "***")
    assert "hunter2" not in gateway.run("config", "show")
    assert "is fine" in gateway.run("config", "check")
    gateway.config_file.write_text("[relay]\nhots = 'x'\n")
    line = one_line(gateway.cli("config", "check").stderr)
    assert all(part in line for part in (str(gateway.config_file), "relay.hots", "host"))


def test_configuration_is_not_called_fine_where_it_could_not_be_looked_at(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway('[relay]\nhost = "relay.test"\nuser = "u"\nsecret = "credential:password"\n', init=False)
    told = gateway.run("config", "check")
    assert "relay.secret is a systemd credential" in told
    assert "Everything else" in told


def test_configuration_is_checked_with_its_certificate(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    made = gateway.data_dir / "tls" / "server.pem"
    named, key = tmp_path / "named.pem", tmp_path / "key.pem"
    plain = gateway.config_file.read_text()
    gateway.config_file.write_text(f'{plain}\n[tls]\ncertificate = "{named}"\nkey = "{key}"\n')

    def check() -> str:
        done = gateway.cli("config", "check")
        assert done.returncode == 1
        assert "fine" not in done.stdout
        return done.stderr

    assert f"{named}: there is no such file" in check()
    named.write_bytes(made.read_bytes())
    assert f"{key}: there is no such file" in check()
    key.write_text("no key")
    assert str(key) in check()
    key.write_bytes(made.read_bytes())
    assert "is fine" in gateway.run("config", "check")
    text = gateway.config_file.read_text()
    gateway.config_file.write_text(text.replace('hostname = "mail.test"', 'hostname = "other.test"'))
    assert "does not name other.test" in check()


def test_without_a_store_a_command_says_how_to_make_one(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(init=False)
    line = one_line(gateway.cli("inbox", "list").stderr)
    assert "gateway init" in line


def test_commands_work_without_a_server_and_init_repeats_harmlessly(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    address = "offline@mail.test"
    gateway.run("inbox", "add", address)
    key = gateway.new_key("--inbox", address)
    again = gateway.json("init")
    assert again["key"] is None
    assert len(gateway.json("inbox", "list")) == 2
    gateway.start()
    gateway.imap(address, key).logout()
    gateway.imap().logout()


def test_init_beside_a_server_that_was_started_first_makes_the_inbox(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(init=False)
    gateway.configure()
    gateway.start()
    made = gateway.json("init")
    gateway.imap(made["address"], made["key"]).logout()
    again = gateway.json("init")
    assert (again["address"], again["key"]) == (made["address"], None)


def test_only_one_server_holds_a_data_directory(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    done = gateway.cli("serve")
    assert done.returncode == 1
    assert f"process {gateway.pid}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_data_directory_is_private(gateway: Gateway) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(gateway.data_dir) == 0o700
    assert mode(gateway.data_dir / "control.sock") == 0o600
    assert mode(gateway.data_dir / "tls" / "ca.key") == 0o600


def test_health_readiness_and_metrics(gateway: Gateway) -> None:
    def get(path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    assert get("/healthz")[0] == 200
    assert get("/readyz")[0] == 200
    assert "gateway_imap_connections_total" in get("/metrics")[1]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get("/nothing")


def test_a_reload_takes_what_it_can_and_refuses_what_is_wrong(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    good = gateway.config_file.read_text()
    gateway.config_file.write_text(good + '[log]\nlevel = "debug"\n[relay]\nhost = "relay.test"\n')
    assert "log.level" in wait_for_log(gateway, "app.reloaded")
    gateway.config_file.write_text(good + '[log]\nlevel = "loud"\n')
    assert "log.level" in wait_for_log(gateway, "app.reload_refused")
    gateway.imap().logout()
    lines = [line for line in gateway.defects() if "app.reload_refused" not in line]
    assert not lines
    gateway.log_file.write_text("")


def wait_for_log(gateway: Gateway, event: str) -> str:
    """Send SIGHUP and wait for the log line that answers it."""
    return answer_to(gateway, signal.SIGHUP, event)


def answer_to(gateway: Gateway, number: signal.Signals, event: str) -> str:
    """Send a signal and wait for the log line of that event."""
    gateway.signal(number)
    found: list[str] = []

    def said() -> bool:
        found[:] = [line for line in gateway.log_file.read_text().splitlines() if event in line]
        return bool(found)

    wait_for(said, f"{event} in the log")
    return found[0]


def test_sigterm_says_bye_and_ends_in_time(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    client = gateway.imap()
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    smtp = gateway.smtp()
    assert gateway.stop() == 0
    assert client.readline().startswith(b"* BYE")
    assert client.readline() == b""
    client.shutdown()
    assert smtp.getreply()[0] == 421
    smtp.close()


def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    client = gateway.imap()
    octets = new_message(gateway.address, gateway.address).as_bytes()
    assert client.append("INBOX", "", "", octets)[0] == "OK"  # type: ignore[arg-type]
    client.shutdown()
    smtp = gateway.smtp()  # in the middle of a message: the first signal waits for it
    smtp.mail(gateway.address)
    smtp.rcpt(gateway.address)
    assert smtp.docmd("DATA")[0] == 354
    answer_to(gateway, signal.SIGTERM, "app.stopping")
    assert gateway.stop() == 130
    smtp.close()
    gateway.start()
    assert raw(gateway, gateway.address, "INBOX", 1) == octets


@pytest.mark.parametrize("name", ["copy", "copy.tar.gz"])
def test_a_backup_beside_the_running_server_is_restored_elsewhere(
    make_gateway: Callable[..., Gateway], tmp_path: Path, name: str
) -> None:
    settings = '[relay]\nhost = "127.0.0.1"\nport = 1\nsecurity = "none"\nallow_private = true\n'
    first = make_gateway(settings)
    first.start()
    octets = new_message(first.address, first.address).as_bytes()
    with first.smtp() as smtp:
        smtp.sendmail(first.address, [first.address, "far@elsewhere.example"], octets)
    before = mailbox_of(first)
    assert first.json("backup", str(tmp_path / name))["messages"] == 2  # INBOX and Sent
    assert "already" in one_line(first.cli("backup", str(tmp_path / name)).stderr)
    first.stop()

    second = make_gateway(settings, init=False)
    report = second.json("restore", str(tmp_path / name))
    assert [row["recipient"] for row in report["held"]] == ["far@elsewhere.example"]
    assert one_line(second.cli("restore", str(tmp_path / name)).stderr).startswith("gateway: ")
    second.address, second.key = first.address, first.key
    second.start("--init")
    assert [row["state"] for row in second.json("queue", "list")] == ["held"]
    after = mailbox_of(second)
    assert after["messages"] == before["messages"] == 1
    assert after["uidvalidity"] != before["uidvalidity"]
    assert raw(second, second.address, "INBOX", 1).endswith(octets[octets.index(b"\r\n\r\n") :])
    assert "1 recipient" in second.run("queue", "cancel", "--all", "--yes")
    assert second.json("queue", "list") == []
    assert {row["level"] for row in second.json("doctor", "--store")} <= {"ok", "warning"}


def mailbox_of(gateway: Gateway) -> dict[str, int]:
    (found,) = [row for row in gateway.json("mailbox", "list", gateway.address) if row["name"] == "INBOX"]
    return dict(found)


def test_help_is_there_for_every_command(gateway: Gateway) -> None:
    groups = ["pod", "domain", "inbox", "address", "key", "mailbox", "message", "queue", "config"]
    for command in [[], *[[group] for group in groups], ["serve"], ["init"], ["doctor"], ["key", "create"]]:
        shown = gateway.run(*command, "--help")
        assert "Usage:" in shown
        assert len(shown.splitlines()) > 4


@pytest.mark.parametrize("words", [["key", "list"], ["message", "show"], ["message", "export"]], ids=" ".join)
def test_a_command_beside_the_server_imports_little(
    gateway: Gateway, account: tuple[str, str], tmp_path: Path, words: list[str]
) -> None:
    """What it does not need takes longer to import than all it does."""
    with gateway.smtp(*account) as smtp:
        smtp.send_message(new_message(account[0], account[0]))
    rest = {"key": [], "show": [account[0], "1"], "export": [str(tmp_path / "all"), "--inbox", account[0]]}
    command = [sys.executable, "-X", "importtime", "-m", "gateway", "--config", str(gateway.config_file)]
    done = subprocess.run([*command, *words, *rest.get(words[1], [])], check=True, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "gateway.control.client" in imported
    assert not imported & {"structlog", "twisted", "sqlalchemy", "psycopg", "gateway.store.db"}
    assert ("gateway.mime" in imported) == (words[1] == "show")

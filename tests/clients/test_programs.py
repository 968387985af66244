"""curl, swaks and mbsync, as Debian ships them, against the real process with certificate checks on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateway import Gateway

from .mail import new_message

READERS = 2  # as by default

Program = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def program(missing: Callable[[str], None]) -> Program:
    """Runs an installed program; its result, whatever its exit status."""

    def run(*command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        if shutil.which(command[0]) is None:
            missing(command[0])
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)

    return run


def _count(gateway: Gateway, address: str, key: str, mailbox: str = "INBOX") -> int:
    with gateway.imap(address, key) as client:
        total = client.select(mailbox)[1][0]
        assert isinstance(total, bytes)
        return int(total)


def test_curl_over_imaps(gateway: Gateway, program: Program, tmp_path: Path) -> None:
    address, key = gateway.inbox(f"curl@{gateway.hostname}")
    base = ["curl", "--silent", "--show-error", "--cacert", str(gateway.ca_file), "--user", f"{address}:{key}"]
    url = f"imaps://localhost:{gateway.imaps}"
    raw = new_message(address, address).as_bytes()
    mail = tmp_path / "mail.eml"
    mail.write_bytes(raw)
    done = program(*base, "--upload-file", str(mail), f"{url}/INBOX")
    assert done.returncode == 0, done.stderr
    listed = program(*base, url)
    assert b'"/" INBOX' in listed.stdout or b'"/" "INBOX"' in listed.stdout
    got = program(*base, f"{url}/INBOX;MAILINDEX=1")
    assert got.stdout == raw
    header = program(*base, f"{url}/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)")
    assert header.stdout.lower().startswith(b"subject: =?utf-8?")
    found = program(*base, f"{url}/INBOX?SUBJECT%20nothing-like-this")
    assert found.stdout.strip() == b"* SEARCH"
    moved = program(*base, f"{url}/INBOX", "--request", "UID MOVE 1 Trash")
    assert moved.returncode == 0, moved.stderr
    assert _count(gateway, address, key, "Trash") == 1
    wrong = program(*base[:-1], f"{address}:gw_wrong", url)
    assert wrong.returncode == 67  # curl: login denied
    assert b"INBOX" in program(*base[:-1], address, "--oauth2-bearer", key, url).stdout
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        token = [*base[:-1], address, "--login-options", f"AUTH={mechanism}", url, "--oauth2-bearer"]
        assert b"INBOX" in program(*token, key).stdout
        assert program(*token, "gw_wrong").returncode == 67


@pytest.mark.parametrize(("scheme", "port"), [("smtps", "smtps"), ("smtp", "submission")])
def test_curl_sends(gateway: Gateway, program: Program, tmp_path: Path, scheme: str, port: str) -> None:
    address, key = gateway.inbox(f"curl-{port}@{gateway.hostname}")
    mail = tmp_path / "mail.eml"
    mail.write_bytes(new_message(address, address).as_bytes())
    command = [
        "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", str(gateway.ca_file),
        f"{scheme}://localhost:{getattr(gateway, port)}", "--mail-from", address, "--mail-rcpt", address,
        "--upload-file", str(mail), "--user",
    ]
    done = program(*command, f"{address}:{key}")
    assert done.returncode == 0, done.stderr
    assert _count(gateway, address, key) == 1
    assert _count(gateway, address, key, "Sent") == 1
    assert program(*command, f"{address}:gw_wrong").returncode == 67
    assert _count(gateway, address, key) == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(gateway: Gateway, program: Program, mechanism: str) -> None:
    address, key = gateway.inbox(f"swaks-{mechanism.lower()}@{gateway.hostname}")
    command = [
        "swaks", "--server", "localhost", "--port", str(gateway.submission), "--tls", "--tls-verify",
        "--tls-ca-path", str(gateway.ca_file), "--auth", mechanism, "--auth-user", address, "--from", address,
        "--header", "Subject: from swaks",
    ]
    done = program(*command, "--to", address, "--auth-password", key)
    assert done.returncode == 0, done.stdout
    assert _count(gateway, address, key) == 1
    wrong = program(*command, "--to", address, "--auth-password", "gw_wrong")
    assert b" 535 5.7.8 " in wrong.stdout
    typo = program(*command, "--to", f"nobody-here@{gateway.hostname}", "--auth-password", key)
    assert b" 550 5.1.1 " in typo.stdout
    away = program(*command, "--to", "someone@elsewhere.test", "--auth-password", key)
    assert b" 550 5.7.1 " in away.stdout
    before_tls = program(
        "swaks", "--server", "localhost", "--port", str(gateway.submission), "--auth", mechanism, "--auth-user",
        address, "--auth-password", key, "--from", address, "--to", address, "--quit-after", "AUTH",
    )
    assert before_tls.returncode != 0


MBSYNCRC = """
IMAPAccount gateway
Host localhost
Port {port}
User {user}
Pass {key}
SSLType IMAPS
CertificateFile {ca}
AuthMechs {mechanism}

IMAPStore remote
Account gateway

MaildirStore local
Path {root}/
Inbox {root}/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_mbsync_both_ways(gateway: Gateway, program: Program, tmp_path: Path, mechanism: str) -> None:
    address, key = gateway.inbox(f"mbsync-{mechanism.lower()}@{gateway.hostname}")
    root, config = tmp_path / "mail", tmp_path / "mbsyncrc"
    root.mkdir()
    config.write_text(
        MBSYNCRC.format(port=gateway.imaps, user=address, key=key, ca=gateway.ca_file, root=root, mechanism=mechanism)
    )
    config.chmod(0o600)

    def sync() -> None:
        done = program("mbsync", "--config", str(config), "--all")
        assert done.returncode == 0, done.stderr

    raw = new_message(address, address).as_bytes()
    with gateway.imap(address, key) as client:
        for flags in ("(\\Seen)", "(\\Flagged)", ""):
            assert client.append("INBOX", flags, None, raw)[0] == "OK"  # type: ignore[arg-type]
    sync()
    files = sorted(path for name in ("cur", "new") for path in (root / "INBOX" / name).iterdir())
    assert len(files) == 3
    assert sorted(path.name.rpartition(":2,")[2] for path in files if ":2," in path.name) in (
        ["", "F", "S"], ["F", "S"]
    )
    assert {path.name for path in root.iterdir()} >= {"INBOX", "Sent", "Drafts", "Trash", "Spam"}

    # upwards: a new mail, a new folder, a flag, a deletion
    (root / "INBOX" / "cur" / "1700000000.1_1.here:2,S").write_bytes(raw.replace(b"\r\n", b"\n"))
    for part in ("cur", "new", "tmp"):
        (root / "Projekt" / part).mkdir(parents=True)
    seen = next(path for path in files if path.name.endswith(":2,S"))
    seen.rename(seen.with_name(seen.name + "T"))
    sync()
    sync()  # a second run finds nothing to do
    with gateway.imap(address, key) as client:
        assert client.select("INBOX")[1] == [b"3"]
        assert client.select("Projekt")[0] == "OK"
    assert len([path for name in ("cur", "new") for path in (root / "INBOX" / name).iterdir()]) == 3

"""nodemailer, imapflow and node-imap against the real process, with certificate checks on."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway

from .mail import ATTACHMENT, SUBJECT, new_message

READERS = 2  # as by default

SCRIPTS = Path(__file__).parent / "node"
STANDARD = {"INBOX", "Sent", "Drafts", "Trash", "Spam"}


@pytest.fixture
def run(gateway: Gateway, missing: Callable[[str], None]) -> Callable[..., Any]:
    """Runs one script with the gateway's CA; the JSON it prints."""
    return _runner(gateway, missing)


def _runner(gateway: Gateway, missing: Callable[[str], None]) -> Callable[..., Any]:
    def script(name: str, **settings: object) -> Any:
        if shutil.which("node") is None or not (SCRIPTS / "node_modules" / "imapflow").is_dir():
            missing("node with the packages of tests/clients/node/package.json")
        done = subprocess.run(
            ["node", str(SCRIPTS / f"{name}.mjs")],
            env=os.environ | {"GATEWAY": json.dumps({"ca": str(gateway.ca_file), **settings})},
            capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return script


@pytest.mark.parametrize("port", ["smtps", "submission"])
def test_nodemailer_sends_and_the_mail_arrives(gateway: Gateway, run: Callable[..., Any], port: str) -> None:
    address, key = gateway.inbox(f"nodemailer-{port}@{gateway.hostname}")
    found = run(
        "send", port=getattr(gateway, port), secure=port == "smtps", user=address, key=key, to=address,
        subject=SUBJECT, attachment=base64.b64encode(ATTACHMENT).decode(),
    )
    assert found["response"].startswith("250")
    assert found["accepted"] == [address]
    assert found["refused"]["responseCode"] == 535
    with gateway.imap(address, key) as client:
        assert client.select("INBOX")[1] == [b"1"]
        header = client.fetch("1", "(BODY[HEADER.FIELDS (MESSAGE-ID)])")[1][0]
        assert isinstance(header, tuple)
        assert found["messageId"].encode() in header[1]
        assert client.select("Sent")[1] == [b"1"]


def test_imapflow(gateway: Gateway, run: Callable[..., Any]) -> None:
    _imapflow(gateway, run, compressed=False)


def test_imapflow_compressed_and_with_a_token(
    make_gateway: Callable[..., Gateway], missing: Callable[[str], None]
) -> None:
    gateway = make_gateway("[imap]\ncompress = true\n")
    gateway.start()
    _imapflow(gateway, _runner(gateway, missing), compressed=True, token=True)


def _imapflow(gateway: Gateway, run: Callable[..., Any], *, compressed: bool, **more: object) -> None:
    address, key = gateway.inbox(f"imapflow@{gateway.hostname}")
    raw = new_message(address, address).as_bytes()
    found = run("imapflow", port=gateway.imaps, user=address, key=key, raw=base64.b64encode(raw).decode(), **more)
    assert found["compressed"] is compressed
    assert dict(found["folders"]) == {
        "INBOX": "\\Inbox", "Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Spam": "\\Junk"
    }
    assert found["exists"] == 1
    assert found["subject"] == SUBJECT
    assert found["flags"] == ["$Forwarded", "\\Seen"]
    assert found["parts"] == 2
    assert found["exact"] is True
    assert base64.b64decode(found["attachment"]) == ATTACHMENT
    assert (found["search"], found["moved"], found["deleted"], found["left"]) == (1, 1, True, 0)
    assert found["refused"] is True


def test_imapflow_comes_back(gateway: Gateway, run: Callable[..., Any]) -> None:
    """QRESYNC as a client uses it: what it missed is told by SELECT, what goes meanwhile as VANISHED."""
    address, key = gateway.inbox(f"imapflow-back@{gateway.hostname}")
    raw = new_message(address, address).as_bytes()
    found = run("imapflow_back", port=gateway.imaps, user=address, key=key, raw=base64.b64encode(raw).decode())
    flagged, deleted, _, last = found["uids"]
    assert {"CONDSTORE", "QRESYNC"} <= set(found["enabled"])
    assert (found["resynced"], found["moved_on"]) == (True, True)
    assert found["missed"] == [["expunge", deleted, True, True], ["flags", flagged, ["\\Flagged"], True]]
    assert found["changed"] == [[flagged, ["\\Flagged"], True]]
    assert found["winner"] == ["$Mine"]
    assert ["expunge", last, True, False] in found["idle"]


def test_node_imap(gateway: Gateway, run: Callable[..., Any]) -> None:
    address, key = gateway.inbox(f"node-imap@{gateway.hostname}")
    message = new_message(address, address)
    found = run(
        "node_imap", port=gateway.imaps, user=address, key=key,
        raw=base64.b64encode(message.as_bytes()).decode(), messageId=message["Message-ID"],
    )
    assert set(found["folders"]) == STANDARD
    assert found["arrived"] is True
    assert found["matches"] == 1
    assert found["exact"] is True
    assert found["flags"] == ["\\Seen"]
    assert (found["flagged"], found["trash"], found["left"]) == (1, 1, 0)
    assert found["refused"] is True

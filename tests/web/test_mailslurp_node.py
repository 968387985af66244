"""MailSlurp's guides by its own client from npm, on Node, against the real process, Dovecot and Postfix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.clients.test_connector_postfix import Provider, provider
from tests.clients.test_connector_sync import at, put
from tests.support.gateway import HOST, Gateway
from tests.web.conftest import admin_key

__all__ = ["provider"]
SETTINGS = """
[web]
private_accounts = true
"""
SCRIPTS = Path(__file__).parents[1] / "clients" / "node"


def test_the_guide(gateway: Gateway, provider: Provider, missing: Callable[[str], None]) -> None:
    if shutil.which("node") is None or not (SCRIPTS / "node_modules" / "mailslurp-client").is_dir():
        missing("node with the packages of tests/clients/node/package.json")
    account = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    with at(provider.dovecot, account) as there:
        put(there, "INBOX", "from the guide")
    settings = {
        "ca": str(gateway.ca_file), "base": f"https://{HOST}:{gateway.web}/mailslurp", "key": admin_key(gateway),
        "account": account, "imap": provider.dovecot.imap, "smtps": provider.postfix.smtps,
        "password": provider.dovecot.password, "trust": provider.postfix.ca.read_text(),
    }  # fmt: skip
    environment = os.environ | {"GATEWAY": json.dumps(settings), "NODE_EXTRA_CA_CERTS": str(gateway.ca_file)}
    done = subprocess.run(
        ["node", str(SCRIPTS / "mailslurp.mjs")], env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "tested": [True, True], "sync": {"count": 1, "ids": 1, "capability": True}, "subject": "from the guide",
        "event": ["SYNC", "SUCCESS", True], "from": account, "waited": ["by its inbox", True],
        "listed": ["by its inbox", "through the account"], "inbox": True, "missing": 404,
    }  # fmt: skip
    untrusted = subprocess.run(
        ["node", str(SCRIPTS / "mailslurp.mjs")], env=os.environ | {"GATEWAY": json.dumps(settings)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert untrusted.returncode != 0  # certificates are checked

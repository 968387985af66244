"""AgentMail's SDK from npm, unchanged but for its environment, with certificates checked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.gateway import HOST, Gateway

from .agentmail_clients import SETTINGS as SETTINGS
from .conftest import admin_key

SCRIPTS = Path(__file__).parents[1] / "clients" / "node"


def test_the_quick_start(gateway: Gateway, missing: Callable[[str], None]) -> None:
    if shutil.which("node") is None or not (SCRIPTS / "node_modules" / "agentmail").is_dir():
        missing("node with the packages of tests/clients/node/package.json")
    gateway.inbox("first@mail.test")
    settings = {
        "ca": str(gateway.ca_file), "base": f"https://{HOST}:{gateway.web}/agentmail", "key": admin_key(gateway),
    }  # fmt: skip
    environment = os.environ | {"GATEWAY": json.dumps(settings), "NODE_EXTRA_CA_CERTS": str(gateway.ca_file)}
    done = subprocess.run(
        ["node", str(SCRIPTS / "agentmail.mjs")], env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "created": True, "page": 1,
        "message": ["Hello from AgentMail!", "My first mail", ["received", "unread"], True],
        "attachment": ["a.txt", 5], "labels": ["received", "important", "read"], "thread": True, "threads": True,
        "draft": ["scheduled", ["draft", "scheduled"]], "reads": 6,
        "refused": [[403, "ForbiddenError", False], [404, "NotFoundError", True], [400, "ValidationError", False]],
        "socket": [["subscribed", None, 1], ["event", "message.received", "Live"]],
        "list": ["bad.test"], "pod": "npm-pod",
    }  # fmt: skip

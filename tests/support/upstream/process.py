"""The scripted upstream in a process of its own, for tests that are not asynchronous themselves.

    with UpstreamProcess("--personality", "gmail", "--messages", "100", "--smtp") as upstream:
        upstream.port, upstream.smtp_port
        uid = upstream.call("deliver", "INBOX", octets=b"…")
        upstream.call("arm", "Cut", "FETCH", octets=1000, literal=True)
        upstream.call("arm_call", "FETCH", "renumber", "INBOX", nth=3)   # a method, at the third FETCH
        upstream.call("set", "refuse_login", refusals.IMAP["limit"][0])   # an attribute
        upstream.call("until_idle", "INBOX")
        upstream.snapshot()
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]


class UpstreamProcess:
    """RuntimeError for a call that failed there."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.host, self.port, self.smtp_port = "", 0, 0

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.upstream", *self._options], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )
        told = self._heard()
        self.host, self.port, self.smtp_port = told["host"], told["port"], told.get("smtp_port", 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.process.communicate(timeout=30)  # it ends with its input

    def call(self, name: str, *args: Any, user: str | None = None, smtp: bool = False, **named: Any) -> Any:
        """A method of FakeUpstream or its account; "arm" takes a fault's name, for the SMTP server with `smtp`."""
        if isinstance(named.get("octets"), bytes):
            named["octets"] = named["octets"].decode("latin-1")
        wanted = {"call": name, "args": args, "named": named, "smtp": smtp} | ({"user": user} if user else {})
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        told = self._heard()
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["result"]

    def snapshot(self, user: str | None = None) -> dict[str, dict[int, tuple[frozenset[str], str]]]:
        """As Account.snapshot."""
        return {
            raw: {int(uid): (frozenset(flags), digest) for uid, (flags, digest) in box.items()}
            for raw, box in self.call("snapshot", user=user).items()
        }

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the scripted upstream ended with {self.process.wait(30)}")
        heard: dict[str, Any] = json.loads(line)
        return heard

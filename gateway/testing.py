"""A gateway for the tests of your own mail code: real IMAP and SMTP, any address is an inbox, nothing leaves.

With pytest, in conftest.py:

    pytest_plugins = ["gateway.testing"]

and a test takes `mail_server`, which is empty of mail when the test begins; the process is started once a run. Without
pytest: `with MailServer.start() as server:`. This module needs the standard library only, and imports nothing of the
gateway, which runs as a process of its own.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import imaplib
    import smtplib
    import ssl
    import subprocess
    from email.message import EmailMessage
    from typing import Self

READY_S = 60.0
"""A loaded machine starts slowly; usually it takes a second or two."""
STOP_S = 20.0
DOMAIN = "inbox.test"


class MailServerError(Exception):
    """It did not start, has ended, or refused what it was asked."""


@dataclass(frozen=True)
class Settings:
    """What a mail client is configured with. `security`: tls (from the first octet) or starttls, which may be left out.

    `ca_file`: the certificate to trust; verification need not be switched off.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    security: str
    ca_file: str


class MailServer:
    """One process in test mode. Make it with `start`; all of it may be used from any thread."""

    def __init__(self, process: subprocess.Popen[bytes], said: dict[str, Any]) -> None:
        self._process = process
        self._directory: str = said["data_dir"]
        self._numbers = 0
        self.host: str = said["host"]
        self.ports: dict[str, int] = said["ports"]
        """imaps, imap, smtps, smtp, and web when it was asked for."""
        self.key: str = said["key"]
        """The password of every address, and the API key."""
        self.ca_file: str = said["ca_file"]
        self._control: str = said["control"]

    @classmethod
    def start(cls, *, web: bool = False) -> MailServer:
        """Start one on free ports; returns when it serves. `web`: with the HTTP API, which takes longer to start.

        MailServerError tells what it said when it does not start.
        """
        import subprocess
        import tempfile

        command = [sys.executable, "-m", "gateway", "serve", "--test-mode", "--free-ports", "--json", "--until-eof"]
        with tempfile.TemporaryFile() as told:
            process = subprocess.Popen(
                [*command, *(["--web"] if web else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told
            )
            try:
                return cls(process, _announced(process, told))
            except BaseException:
                process.terminate()  # it removes what it has made
                process.communicate()
                raise

    def stop(self) -> None:
        """End it and remove its mail; again does nothing."""
        import shutil
        import subprocess

        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def new_address(self, name: str = "user") -> str:
        """An address that nobody has used; any other text with an @ is an inbox as well."""
        self._numbers += 1
        return f"{name}-{self._numbers}@{DOMAIN}"

    def clear(self) -> None:
        """Expunge all mail of all inboxes, and forget what was sent. Clients that are connected see it at once."""
        self._ask("test.clear", {})

    def messages(
        self, address: str, *, mailbox: str = "INBOX", subject: str | None = None, sender: str | None = None
    ) -> list[EmailMessage]:
        """What lies there now, the oldest first; `subject` and `sender` are contained in the field, in any case."""
        return self._messages(address, mailbox, subject, sender, latest=False, seconds=0)

    def latest(
        self, address: str, *, mailbox: str = "INBOX", subject: str | None = None, sender: str | None = None
    ) -> EmailMessage | None:
        """The newest of them, None when there is none."""
        found = self._messages(address, mailbox, subject, sender, latest=True, seconds=0)
        return found[0] if found else None

    def wait_for(
        self, address: str, *, subject: str | None = None, sender: str | None = None, mailbox: str = "INBOX",
        timeout: float = 10.0,
    ) -> EmailMessage:
        """The newest of them, as soon as there is one. TimeoutError says what lies there instead."""
        found = self._messages(address, mailbox, subject, sender, latest=True, seconds=timeout)
        if found:
            return found[0]
        there = [str(message["subject"]) for message in self.messages(address, mailbox=mailbox)]
        wanted = f" with subject {subject!r}" if subject is not None else ""
        raise TimeoutError(f"{mailbox} of {address} got no mail{wanted} within {timeout} s; it has {there}")

    def imap_settings(self, address: str, *, security: str = "tls") -> Settings:
        return self._settings("imap", address, security)

    def smtp_settings(self, address: str, *, security: str = "tls") -> Settings:
        return self._settings("smtp", address, security)

    def imap(self, address: str) -> imaplib.IMAP4_SSL:
        """imaplib, logged in."""
        import imaplib

        client = imaplib.IMAP4_SSL(self.host, self.ports["imaps"], ssl_context=self.tls(), timeout=30)
        client.login(address, self.key)
        return client

    def smtp(self, address: str) -> smtplib.SMTP_SSL:
        """smtplib, logged in."""
        import smtplib

        client = smtplib.SMTP_SSL(self.host, self.ports["smtps"], context=self.tls(), timeout=30)
        client.login(address, self.key)
        return client

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts this server."""
        import ssl

        return ssl.create_default_context(cafile=self.ca_file)

    def _settings(self, protocol: str, address: str, security: str) -> Settings:
        port = self.ports[f"{protocol}s" if security == "tls" else protocol]
        return Settings(self.host, port, address, self.key, security, self.ca_file)

    def _messages(
        self, address: str, mailbox: str, subject: str | None, sender: str | None, *, latest: bool, seconds: float
    ) -> list[EmailMessage]:
        import email
        import email.policy

        params: dict[str, Any] = {"inbox": address, "mailbox": mailbox, "latest": latest,
                                  "wait_ms": int(seconds * 1000)}  # fmt: skip
        params |= {name: value for name, value in (("subject", subject), ("sender", sender)) if value is not None}
        whole = self._ask("test.messages", params, seconds)
        return [email.message_from_bytes(octets, policy=email.policy.default) for octets in whole]

    def _ask(self, op: str, params: dict[str, Any], seconds: float = 0.0) -> list[bytes]:
        """The octets of each message of the answer: lines of JSON, and octets that such a line counts."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(READY_S + seconds)
            try:
                link.connect(self._control)
            except OSError as error:
                raise MailServerError(f"The mail server has ended: {error}") from None
            link.sendall(json.dumps({"op": op, "params": params}).encode() + b'\n{"end":true}\n')
            return _answered(link)


def _answered(link: socket.socket) -> list[bytes]:
    found: list[bytes] = []
    with link.makefile("rb") as frames:
        for line in frames:
            frame = json.loads(line)
            if "octets" in frame:
                found[-1] += frames.read(frame["octets"])
            elif "event" in frame:
                found.append(b"")
            elif "error" in frame:
                raise MailServerError(frame["error"]["text"])
            else:
                return found
    raise MailServerError("The mail server has ended")


def _announced(process: subprocess.Popen[bytes], told: IO[bytes]) -> dict[str, Any]:
    """The line it prints when it serves."""
    import selectors

    assert process.stdout is not None
    deadline = time.monotonic() + READY_S
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not ready.select(deadline - time.monotonic()):
                continue
            line = process.stdout.readline()
            if not line:
                break
            if line.startswith(b"{"):
                said: dict[str, Any] = json.loads(line)
                return said
    told.seek(0)
    raise MailServerError(f"The mail server did not start:\n{told.read()[-4000:].decode('utf-8', 'replace')}")


if "pytest" in sys.modules:  # it works without, and is not to bring it along
    _fixture = sys.modules["pytest"].fixture

    @_fixture(scope="session")  # type: ignore[untyped-decorator]
    def mail_server_process() -> Iterator[MailServer]:
        """The process, once a run (once a worker of pytest-xdist)."""
        with MailServer.start() as server:
            yield server

    @_fixture  # type: ignore[untyped-decorator]
    def mail_server(mail_server_process: MailServer) -> MailServer:
        """A mail server without mail."""
        mail_server_process.clear()
        return mail_server_process

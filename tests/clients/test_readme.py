"""What the README tells a new user to type works, word for word but for ports and key."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.gateway import Gateway

FRESH = True  # as a new user has it
README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_script_of_the_readme(gateway: Gateway, tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    for old, new in (
        ('"inbox@localhost", "gw_…"', f'"{gateway.address}", "{gateway.key}"'),
        ("data/tls/ca.pem", str(gateway.ca_file)),
        ("1465", str(gateway.smtps)),
        ("1993", str(gateway.imaps)),
    ):
        assert old in script
        script = script.replace(old, new)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "=?utf-8?" in done.stdout


def test_the_commands_of_the_readme(gateway: Gateway) -> None:
    commands = commands_between("## More inboxes, more keys", "## Accounts elsewhere")
    assert len(commands) >= 5
    for command in commands:
        gateway.run(*command)


def test_an_account_elsewhere_as_the_readme_adds_it(gateway: Gateway) -> None:
    """Its servers are nowhere, so the test of it says so."""
    add, test, show = commands_between("## Accounts elsewhere", "## Production in ten lines")
    done = gateway.cli(*add, stdin=b"a password\n")
    assert done.returncode == 0, done.stderr
    tried = gateway.cli(*test)
    assert tried.returncode == 1
    assert "Check the spelling of imap.host" in tried.stdout
    assert "me@corp.example" in gateway.run(*show)


def commands_between(heading: str, end: str) -> list[list[str]]:
    text = README.read_text()
    section = text[text.index(heading) : text.index(end)]
    return [shlex.split(line, comments=True) for line in re.findall(r"^    gateway (.+)$", section, re.M)]


def test_the_printed_check_works(gateway: Gateway) -> None:
    """`gateway init` printed a curl line and a script; the script is run as a new user would."""
    block = gateway.run("init")
    script = block.partition("<<'EOF'\n")[2].partition("\nEOF")[0].replace("YOUR-API-KEY", gateway.key)
    script = script.replace("'mail.test'", "'localhost'")  # this machine's resolver does not know the test's name
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Hello" in done.stdout

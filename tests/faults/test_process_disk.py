"""A full disk: what cannot be kept is refused for now, reading goes on, and all that was acknowledged is there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import end
from tests.faults.process_kit import Imap, Smtp, logged_out, mail, new_key, subjects
from tests.support.gateway import Gateway

SPACE = 48  # MiB of the whole data directory: thrice what is kept here, or the disk would be full of mail and stay so


@pytest.fixture
def small(tmp_path: Path, missing: Callable[[str], None]) -> Iterator[Gateway]:
    """A gateway whose data directory is a file system of its own."""
    if os.geteuid() != 0:
        missing("the right to mount a tmpfs (root)")
    gateway = Gateway(tmp_path / "gateway", readers=0)
    gateway.data_dir.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SPACE}m,mode=0700", "tmpfs", str(gateway.data_dir)],
        capture_output=True, check=False,
    )
    if mounted.returncode != 0:
        missing(f"the right to mount a tmpfs ({mounted.stderr.decode().strip()})")
    try:
        gateway.init()
        gateway.start()
        yield gateway
        if gateway.process is not None:
            gateway.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(gateway.data_dir)], check=True)


class Filler:
    """Takes all space that is left, and gives it back."""

    def __init__(self, gateway: Gateway) -> None:
        self._file = gateway.data_dir / "ballast"

    def fill(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._file.unlink()


def _until_refused(act: Callable[[int], tuple[bool, str]], kept: list[str]) -> str:
    """Go on until the first refusal; what was acknowledged before it is added to `kept`."""
    for number in range(1000):
        done, text = act(number)
        if not done:
            return text
        kept.append(text)
    raise AssertionError("the disk never got full")


@pytest.mark.parametrize("octets", [2_000, 900_000], ids=["one unit", "staged"])
def test_a_full_disk(small: Gateway, octets: int) -> None:
    address, filler = small.address, Filler(small)
    appended: list[str] = []
    sent: list[str] = []
    imap = Imap(small, (address, small.key))
    idling = Imap(small, (address, small.key))
    smtp = Smtp(small, (address, small.key))

    def append(number: int) -> tuple[bool, str]:
        subject = f"append{number}x{len(appended)}"
        reply = imap.append(b"Trash", mail(address, subject, octets))
        return (True, subject) if reply.startswith(b"OK") else (False, reply.decode())

    def submit(number: int) -> tuple[bool, str]:
        subject = f"submit{number}x{len(sent)}"
        reply = smtp.submit(address, address, mail(address, subject, octets))
        return (True, subject) if reply.startswith("250") else (False, reply)

    for number in range(3):
        for act, kept in ((append, appended), (submit, sent)):
            done, text = act(number)
            assert done, text
            kept.append(text)
    idling.ok(b"SELECT INBOX")
    idling.idle()

    for _ in range(2):  # full, free, and full again
        filler.fill()
        assert _until_refused(append, appended).startswith("NO [UNAVAILABLE] ")
        refusal = _until_refused(submit, sent)
        assert refusal.startswith(("451 4.3.0", "452 4.3.1")), refusal
        for command in (b"CREATE Folder", b"STORE 1 +FLAGS (\\Flagged)"):
            imap.ok(b"SELECT INBOX")
            last = imap.ask(command)[-1]
            assert last.startswith((b"OK ", b"NO [UNAVAILABLE]", b"NO [ALREADYEXISTS]")), last
        with logged_out(Imap(small, (address, small.key))) as reader:
            assert subjects(reader, b"Trash") == [text.encode() for text in appended]
            assert subjects(reader) == [text.encode() for text in sent]
            reader.ok(b"SELECT Trash")
            assert mail(address, appended[0], octets) in reader.ok(b"FETCH 1 BODY.PEEK[]")[0]
            reader.ok(b"SEARCH TEXT nowhere")
        filler.free()
        for act, kept in ((append, appended), (submit, sent)):
            done, text = act(-1)
            assert done, text
            kept.append(text)
    imap.ok(b"UNSELECT")
    new_key(small, inbox=address)  # anything else that writes works too
    for client in (imap, idling, smtp):
        client.close()

    small.kill()  # nothing of it is there only because the process lived on
    small.start()
    with logged_out(Imap(small, (address, small.key))) as reader:
        assert subjects(reader, b"Trash") == [text.encode() for text in appended]
        assert subjects(reader) == [text.encode() for text in sent]
        assert subjects(reader, b"Sent") == [text.encode() for text in sent]
    end(small)


def test_a_start_without_space_says_so(small: Gateway) -> None:
    assert small.stop() == 0
    filler = Filler(small)
    filler.fill()
    failure = ""
    try:
        small.start()
    except RuntimeError as error:
        failure = str(error)
    assert "Traceback" not in failure
    assert "unexpected error" not in failure
    filler.free()
    if failure:
        small.start()
    with logged_out(Imap(small, (small.address, small.key))) as client:
        assert client.append(b"INBOX", mail(small.address, "after")).startswith(b"OK")
    end(small)

"""What a file is taken for when nobody says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.maintain.sources import Format, guess_format
from gateway.model.errors import InvalidRequest


@pytest.mark.parametrize(
    ("name", "octets", "form"),
    [
        ("mail", b"From anna@x.test Tue Nov 14 10:00:00 2023\nSubject: a\n\nb\n", Format.MBOX),
        ("mail", b"Received: from x\r\n\tby y\r\n\r\nb\r\n", Format.EML),
        ("mail.eml", b"\r\nno header at all\r\n", Format.EML),
        ("notes.txt", b"gw_0123 is a secret and no mail\n", None),
        ("empty", b"", None),
    ],
)
def test_a_file_that_begins_like_no_mail_is_not_imported(
    tmp_path: Path, name: str, octets: bytes, form: Format | None
) -> None:
    path = tmp_path / name
    path.write_bytes(octets)
    if form is not None:
        assert guess_format(path) is form
        return
    with pytest.raises(InvalidRequest, match="--format eml"):
        guess_format(path)

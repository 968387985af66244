from __future__ import annotations

import click
import pytest

from gateway.cli.sizes import parse_limit, parse_size


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("512", 512), ("3K", 3072), ("500M", 500 << 20), ("2 GiB", 2 << 30), ("1tb", 1 << 40)],
)
def test_sizes(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "M", "1.5G", "-1", "1X", "9999999999999T", "1 0"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_size(text)


def test_a_limit_may_be_none_and_never_nothing() -> None:
    assert parse_limit(None, octets=False) is None
    assert parse_limit("none", octets=False) == 0
    assert parse_limit("7", octets=False) == 7
    assert parse_limit("1K", octets=True) == 1024
    for text in ("0", "-1", "many", "1K"):
        with pytest.raises(click.BadParameter):
            parse_limit(text, octets=False)
    with pytest.raises(click.BadParameter):
        parse_limit("0K", octets=True)

"""Every fuzz target over its seeds, over what was ever found, over bombs, and for a while over what is made of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import FOUND, LARGEST, TARGETS, Target
from tests.support.calls import calls
from tests.support.soak import SOAK, examples

SECONDS = 40  # of one target in a soak
ROOT = Path(__file__).resolve().parents[2]

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@each_target
def test_seeds_and_finds(target: Target) -> None:
    for octets in (*target.seeds, *(path.read_bytes() for path in target.found())):
        target.run(octets)


def test_every_find_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.glob("*")} <= TARGETS.keys()


@each_target
def test_what_tokens_make(target: Target) -> None:
    """Without coverage: atheris has it, in a soak."""
    piece = st.sampled_from(target.tokens + target.seeds) | st.binary(max_size=4)

    @settings(max_examples=examples(60))
    @given(st.lists(piece, max_size=12).map(b"".join))
    def try_one(octets: bytes) -> None:
        target.run(octets)

    try_one()


@each_target
def test_bombs(target: Target) -> None:
    """A token over and over, alone and behind a beginning: steps go with the octets, not with what they say.

    Twice as much of it takes twice as many; in a soak up to 64 KiB.
    """
    for token in target.tokens:
        for begin in (b"", *target.seeds[: 4 if SOAK else 1]):
            small, large = (
                (begin + token * (LARGEST // share // len(token))) for share in ((2, 1) if SOAK else (32, 16))
            )
            steps = calls(lambda octets=small: target.run(octets))  # type: ignore[misc]
            assert calls(lambda octets=large: target.run(octets)) <= 2.5 * steps + 1000, (token, begin)  # type: ignore[misc]


@pytest.mark.skipif(not SOAK, reason="a long run: make soak")
@each_target
def test_with_coverage(target: Target, tmp_path: Path, missing: Callable[[str], None]) -> None:
    if importlib.util.find_spec("atheris") is None:
        missing("atheris")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", target.run.__name__, f"-max_total_time={SECONDS}",
         f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    finds = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert done.returncode == 0, f"{finds}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"

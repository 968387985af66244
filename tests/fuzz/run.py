"""`python -m tests.fuzz.run TARGET [libFuzzer's options]`: one target under atheris, guided by coverage.

A find is written to a file, which belongs into `tests/fuzz/found/TARGET/` with the mending of what it found.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.targets import LARGEST, TARGETS

TIMEOUT = 20  # seconds one input may take before it counts as a hang: of 64 KiB, on a loaded machine


def main() -> None:
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        for number, octets in enumerate((*target.seeds, *(path.read_bytes() for path in target.found()))):
            (corpus / str(number)).write_bytes(octets)
        words = Path(scratch) / "words"
        lines = ("".join(map("\\x{:02x}".format, token)) for token in target.tokens)
        words.write_text("".join(f'"{line}"\n' for line in lines))
        limits = [f"-max_len={LARGEST}", f"-timeout={TIMEOUT}", f"-dict={words}", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The `gateway` command."""

from __future__ import annotations


def main() -> None:
    """Entry point of the installed command and of `python -m gateway`."""
    from .root import run

    run()


__all__ = ["main"]

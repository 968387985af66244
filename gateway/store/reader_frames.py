"""What travels between the serving process and a reader process: pickled values, each behind its length."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Any, Final

from .urls import Target

LENGTH: Final = struct.Struct("<I")
"""Stands before each frame: its length in octets."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first frame: where the store is, and the modules whose functions will be asked for."""

    target: Target
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job came to: `value`, unless `error` says why there is none."""

    value: Any
    error: BaseException | None = None


READY: Final = Answer(None)

apart = False
"""This process is a reader process: nobody waits for its interpreter."""


def frame(value: Any) -> bytes:
    """`value` as it is sent to the other end."""
    octets = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(octets)) + octets

"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but not for long, or not for everybody."""
    PROBLEM = "problem"
    """Something that users notice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`area` is what was looked at, `remedy` what to do ("" where nothing is)."""

    area: str
    level: Level
    text: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"area": self.area, "level": self.level.value, "text": self.text, "remedy": self.remedy}


def well(area: str, text: str) -> Finding:
    return Finding(area, Level.OK, text)


def warning(area: str, text: str, remedy: str) -> Finding:
    return Finding(area, Level.WARNING, text, remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    return Finding(area, Level.PROBLEM, text, remedy)

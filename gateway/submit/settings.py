"""What acceptance is told by the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """`hostname` stands in trace fields; `max_message_size` counts the octets that the client sends."""

    hostname: str = "localhost"
    max_message_size: int = 10_485_760

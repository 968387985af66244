"""Octets and seconds in which defaults and bounds of settings are written."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
PIB = 1024**3 * MIB
HOUR = 3600
DAY = 24 * HOUR

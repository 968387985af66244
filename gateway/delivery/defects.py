"""A defect of ours, said loudly where it must not end the work of all others."""

from __future__ import annotations

import traceback

import structlog

from gateway.model.ports import Metrics

log = structlog.get_logger(__name__)


def tell(error: BaseException, metrics: Metrics) -> None:
    """Without the exception's text: it may hold mail or a secret."""
    stack = traceback.extract_tb(error.__traceback__)[-8:]
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack]
    log.error("delivery.defect", kind=type(error).__name__, frames=frames)
    metrics.count("delivery_defects_total")

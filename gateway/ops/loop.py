"""The one event loop: uvloop (asyncio's own where it is missing) under Twisted's reactor, in the right order."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any, Final

SWITCH_INTERVAL: Final = 0.0005  # seconds; beside a busy loop the writer thread falls to a thirtieth at the default


def new_loop() -> asyncio.AbstractEventLoop:
    """A uvloop loop, half the CPU a connection; without uvloop (a platform without wheels) asyncio's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def install() -> tuple[asyncio.AbstractEventLoop, Any]:
    """Make the loop and Twisted's reactor on it: (loop, reactor). Call once, before anything imports the reactor.

    The loop must be current before the reactor is installed, or coroutines wait on another loop and hang silently.
    RuntimeError when a reactor is there already.
    """
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("A Twisted reactor was installed before the loop")
    sys.setswitchinterval(SWITCH_INTERVAL)
    loop = new_loop()
    asyncio.set_event_loop(loop)
    # Imported here and by name: importing Twisted's parts early would install another reactor.
    importlib.import_module("twisted.internet.asyncioreactor").install(loop)
    return loop, importlib.import_module("twisted.internet").reactor

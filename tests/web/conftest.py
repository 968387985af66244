"""One gateway with an HTTP port for each module of tests, and clients of its API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from gateway.model.permissions import BUNDLES
from tests.servers.process import free_port
from tests.support.api import Api
from tests.support.gateway import Gateway, running

from .mail import Box
from .people import Person

if TYPE_CHECKING:
    from agentmail import AgentMail
    from playwright.sync_api import Browser

    from tests.support.browser import Visit
    from tests.support.oauth import FakeProvider


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway that the module's tests share, with the module's SETTINGS; each uses inboxes of its own."""
    settings = getattr(request.module, "SETTINGS", "")
    readers = getattr(request.module, "READERS", 0)
    directory = tmp_path_factory.mktemp("gateway")
    with running(Gateway(directory, settings, readers=readers, web=free_port())) as served:
        yield served


@pytest.fixture(scope="module")
def provider(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProvider]:
    """Where people log in to their accounts; the gateway has an application there."""
    from .provider import known, running_provider

    with running_provider(tmp_path_factory.mktemp("provider")) as made:
        known(gateway, made)
        yield made


@pytest.fixture
def api(gateway: Gateway) -> Iterator[Callable[..., Api]]:
    """`api()`: a client with an administrator's key; `api(key)`: with that one; `api("")`: with none."""
    with ExitStack() as stack:
        yield lambda key=None: stack.enter_context(Api(gateway, admin_key(gateway) if key is None else key))


_NUMBERS = count(1)


@pytest.fixture
def box(gateway: Gateway, api: Callable[..., Api]) -> Box:
    """An inbox of the test's own, with a key that may all but administer."""
    address, key = gateway.inbox(f"box{next(_NUMBERS)}@mail.test")
    return Box(gateway, address, key, api(key))


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[Callable[..., AgentMail]]:
    """AgentMail's client: `sdk()` with a key that opens everything; `sdk(key)` with that one."""
    from .agentmail_clients import client_of

    opened: list[Any] = []
    yield lambda key=None: client_of(gateway, admin_key(gateway) if key is None else key, opened)
    for each in opened:
        each.close()


@pytest.fixture
def pair(sdk: Callable[..., AgentMail]) -> tuple[AgentMail, str, str]:
    """A client of AgentMail's, and two inboxes of the test's own."""
    from .agentmail_clients import new_inbox

    client = sdk()
    return client, new_inbox(client), new_inbox(client)


_ADMINS: dict[int, str] = {}


def admin_key(gateway: Gateway) -> str:
    """A key that opens everything, with all permissions."""
    found = _ADMINS.get(gateway.web)
    if found is None:
        made = gateway.operate("key.create", everything=True, name="admin", permissions=list(BUNDLES))
        found = _ADMINS[gateway.web] = str(made["key"])
    return found


@pytest.fixture
def person(gateway: Gateway, api: Callable[..., Api]) -> Callable[..., Person]:
    """`person()`: somebody new with an inbox and a key; `person("--permissions", "read")`: with such a key."""
    return lambda *options: Person(gateway, api, *options)


DEVICES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "has_touch": True},
}


@pytest.fixture(scope="module")
def browser(gateway: Gateway, missing: Callable[[str], None]) -> Iterator[Browser]:
    """Chromium for the module's gateway. Not for longer: its driver keeps a loop running in this thread."""
    from tests.support import browser as browsers

    if what := browsers.available():
        missing(what)
    with browsers.chromium(gateway) as running:
        yield running


@pytest.fixture
def visit(gateway: Gateway, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Somebody at the desk, or with the device that the test is parametrised with; a script that asks something is
    one of the things that are wrong."""
    from tests.support.browser import Visit

    context = browser.new_context(**DEVICES[getattr(request, "param", "desk")])
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield Visit(gateway, context)
    context.close()


@pytest.fixture
def admin(visit: Visit, gateway: Gateway) -> Visit:
    """The same, logged in with a key that may everything."""
    visit.log_in(admin_key(gateway))
    return visit

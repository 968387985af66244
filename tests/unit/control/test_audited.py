from __future__ import annotations

import inspect

from gateway.control.operations import operations
from gateway.control.operations.audited import READS, TARGETS, Asker

NO_TARGET = {"oauth.login.begin", "oauth.login.finish", "secrets.abandon", "secrets.rotate", "server.reload"}


def parameters(name: str) -> set[str]:
    return {one.name for one in inspect.signature(operations[name]).parameters.values() if one.kind is one.KEYWORD_ONLY}


def test_what_is_not_recorded_exists() -> None:
    assert operations.keys() >= READS


def test_what_is_recorded_says_on_which_thing() -> None:
    for name in operations.keys() - READS - NO_TARGET:
        assert parameters(name) & set(TARGETS), name


def test_no_secret_is_a_target() -> None:
    assert not {"secret", "key", "options", "pasted", "state", "certificate", "reason"} & set(TARGETS)


def test_an_entry_names_the_thing_and_leaves_out_what_was_not_said() -> None:
    given = {"name": "work", "options": {"password": "hidden"}, "pod": None, "enabled": False, "rename": ""}
    entry = Asker(1000).entry(5.5, "connector.set", given)
    assert (entry.at, entry.who, entry.target) == (5, "uid 1000", "name=work enabled=False")

"""Options as somebody gave them: read strictly, kept as JSON, secrets apart.

Three sources say the same: tables of a TOML file, `section.key=value` texts of the command line, and JSON of a program.
Every error is an InvalidRequest that names section, key and reason.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.fields.setting import Field, Secret, fields_of
from gateway.fields.values import Source, convert
from gateway.model.errors import InvalidRequest
from gateway.outbound.tls import certificates

from .options import SECTIONS

CA_FILE_OCTETS: Final = 1_048_576
_PEM: Final = "-----BEGIN"
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    name: {field.key: field for field in fields_of(section)} for name, section in SECTIONS.items()
}
"""section -> key -> field."""


@dataclass(frozen=True, slots=True)
class Given:
    """Values by section and key, typed; what nobody gave is not there. Secrets are in `values` too, as Secret."""

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def merged(self, later: Given) -> Given:
        """This with what `later` says instead."""
        names = dict.fromkeys((*self.values, *later.values))
        return Given({name: {**self.values.get(name, {}), **later.values.get(name, {})} for name in names})

    def without(self, keys: Mapping[str, frozenset[str]]) -> Given:
        """This without the keys named by section: they are the preset's again."""
        kept = {
            name: {key: value for key, value in table.items() if key not in keys.get(name, frozenset())}
            for name, table in self.values.items()
        }
        return Given({name: table for name, table in kept.items() if table})

    def to_json(self) -> str:
        """All but secrets, for the store."""
        shown = {
            name: {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()
                   if not isinstance(value, Secret)}
            for name, table in self.values.items()
        }
        return json.dumps({name: table for name, table in shown.items() if table}, ensure_ascii=False, sort_keys=True)

    def secrets(self) -> dict[str, Secret]:
        """`section.key` -> secret, of those that were given."""
        return {
            f"{name}.{key}": value
            for name, table in self.values.items() for key, value in table.items() if isinstance(value, Secret)
        }


def from_json(text: str, secrets: Mapping[str, Secret] | None = None) -> Given:
    """What `to_json` wrote. Keys that this version does not know are left out: a newer one wrote them."""
    tables: dict[str, dict[str, Any]] = {}
    for name, table in json.loads(text).items():
        known = FIELDS.get(name, {})
        if read := {key: _converted(name, known[key], raw, _STORED) for key, raw in table.items() if key in known}:
            tables[name] = read
    for path, secret in (secrets or {}).items():
        name, _, key = path.partition(".")
        if key in FIELDS.get(name, {}):
            tables.setdefault(name, {})[key] = secret
    return Given(tables)


def from_tables(tables: Mapping[str, Any], source: Source) -> Given:
    """TOML tables or a JSON object. InvalidRequest."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if name not in FIELDS:
            raise InvalidRequest(f"{source.name}: {name}: unknown section{_near(name, FIELDS)}")
        if not isinstance(table, Mapping):
            raise InvalidRequest(f"{source.name}: {name}: must be a section, written as [{name}]")
        for key, raw in table.items():
            found.setdefault(name, {})[key] = _converted(name, _field(name, key, source), raw, source)
    return Given(found)


def from_texts(texts: Mapping[str, str], source: Source) -> Given:
    """`section.key` -> text, as on a command line. InvalidRequest."""
    found: dict[str, dict[str, Any]] = {}
    for path, text in texts.items():
        name, dot, key = path.partition(".")
        if not dot or name not in FIELDS:
            raise InvalidRequest(f"{source.name}: {path}: write section.key, with a section of {', '.join(FIELDS)}")
        found.setdefault(name, {})[key] = _converted(name, _field(name, key, source), text, source)
    return Given(found)


def takes_several(path: str) -> bool:
    """Whether `section.key` is a list, of which a command line may name one after the other."""
    name, _, key = path.partition(".")
    found = FIELDS.get(name, {}).get(key)
    return found is not None and typing.get_origin(found.base) is tuple


_STORED: Final = Source("the stored options", Path(), {}, literal=True)


def _field(section: str, key: str, source: Source) -> Field:
    known = FIELDS[section]
    if key not in known:
        raise InvalidRequest(f"{source.name}: {section}.{key}: unknown key{_near(key, known)}")
    return known[key]


def _converted(section: str, field: Field, raw: Any, source: Source) -> Any:
    try:
        if field.key == "mechanism":
            raw = _preferences(raw, source)
        if field.key == "ca" and isinstance(raw, str) and raw and source is not _STORED:
            names_file = not raw.lstrip().startswith(_PEM) and not source.literal
            path = source.base / Path(raw).expanduser() if names_file else None
            raw = _certificates(raw if path is None else _text_of(path), "this" if path is None else str(path))
        if field.key == "proxy" and isinstance(raw, str) and _has_password(raw):  # which is not to be shown
            raise ValueError(f"is no proxy such as is wanted: give its password as {section}.proxy_secret")
        return convert(field, raw, source)
    except ValueError as reason:
        raise InvalidRequest(f"{source.name}: {section}.{field.key}: {reason}") from None


def _preferences(raw: Any, source: Source) -> Any:
    """A text for a list of mechanisms is one of them, as earlier versions kept it, or several; in any case."""
    if isinstance(raw, str):
        return raw.lower() if source.text else [one.strip() for one in raw.lower().split(",")]
    return [one.lower() if isinstance(one, str) else one for one in raw] if isinstance(raw, list) else raw


def _has_password(url: str) -> bool:
    before = url.rpartition("@")[0]
    return ":" in (before.partition("://")[2] or before)


def _certificates(text: str, called: str) -> str:
    found = certificates(text)
    if not found:
        raise ValueError(f"{called} is no PEM text of certificates")
    return found


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(CA_FILE_OCTETS + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(octets) > CA_FILE_OCTETS:
        raise ValueError(f"{path} is too long for certificates")
    return octets.decode("utf-8", "replace")  # bundles have names between the certificates


def _near(name: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""

"""TOML file and environment -> Config, or one ConfigError that names file, key and reason."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.fields.setting import Field, fields_of, settings_of
from gateway.fields.values import Source, convert
from gateway.model.errors import ConfigError

from .rules import problems
from .sections import Config

SEARCH_PATH: Final = (Path("config.toml"), Path("/etc/gateway/config.toml"))
FILE_OCTETS: Final = 1024 * 1024  # a larger file is not a configuration
_VARIABLE: Final = re.compile(r"GATEWAY_([A-Z0-9]+(?:_[A-Z0-9]+)*?)__([A-Z0-9_]+)")
_DEFAULTS: Final = "the defaults"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it came from; `path` is None when no file was found."""

    config: Config
    path: Path | None


def find(explicit: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    """The file to use: `--config`, $GATEWAY_CONFIG, ./config.toml, /etc/gateway/config.toml, or None.

    A file that was named must exist (the loader says so); those of the search path may be missing.
    """
    named = explicit or environ.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    return next((path for path in SEARCH_PATH if path.is_file()), None)


def load(explicit: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Find, read and check the configuration. ConfigError otherwise.

    Relative paths in a file count from the file's directory; those in the environment and the defaults count from
    the working directory.
    """
    environ = os.environ if environ is None else environ
    path = find(explicit, environ)
    tables = {} if path is None else _read(path)
    return Loaded(_build(tables, path, environ), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(octets) > FILE_OCTETS:
        raise ConfigError(f"{path}: is too large for a configuration")
    try:
        return tomllib.loads(octets.decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from None


class _Build:
    """Values gathered so far, and for each dotted key the source that set it (for errors about combinations)."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.origin: dict[str, str] = {}

    def put(self, key: str, target: dict[str, Any], field: Field, raw: Any, source: Source) -> None:
        try:
            target[field.name] = convert(field, raw, source)
        except ValueError as reason:
            raise _error(source.name, key, str(reason)) from None
        self.origin[key] = source.name

    def origin_of(self, key: str) -> str:
        """The source that set `key` or the nearest thing around it."""
        while key:
            if key in self.origin:
                return self.origin[key]
            key = key.rpartition(".")[0]
        return _DEFAULTS


def _build(tables: dict[str, Any], path: Path | None, environ: Mapping[str, str]) -> Config:
    build = _Build()
    sections = {name: (section, repeated) for name, section, repeated in settings_of(Config)}
    if path is not None:
        source = Source(str(path), path.absolute().parent, environ)
        for name, table in tables.items():
            _take_section(build, sections, name, table, source)
    _take_environment(build, sections, environ)
    parts: dict[str, Any] = {name: sections[name][0](**values) for name, values in build.values.items()}
    for name, items in build.lists.items():
        parts[name] = tuple(sections[name][0](**values) for values in items)
    config = Config(**parts)
    for key, reason in problems(config):
        origin = build.origin_of(key)
        raise _error(str(path) if origin == _DEFAULTS and path else origin, key, reason)
    return config


def _take_section(
    build: _Build, sections: Mapping[str, tuple[type[Any], bool]], name: str, table: Any, source: Source
) -> None:
    if name not in sections:
        what = "section" if isinstance(table, dict | list) else "key"
        raise _error(source.name, name, f"unknown {what}{_near(name, sections)}")
    section, repeated = sections[name]
    build.origin[name] = source.name
    if repeated:
        if not isinstance(table, list) or not all(isinstance(item, dict) for item in table):
            raise _error(source.name, name, f"must be written as [[{name}]]")
        build.lists[name] = []
        for number, item in enumerate(table):
            build.lists[name].append({})
            _take_table(build, f"{name}.{number}", section, item, build.lists[name][-1], source)
        return
    if not isinstance(table, dict):
        raise _error(source.name, name, f"must be a section, written as [{name}]")
    _take_table(build, name, section, table, build.values.setdefault(name, {}), source)


def _take_table(
    build: _Build, key: str, section: type[Any], table: Mapping[str, Any], target: dict[str, Any], source: Source
) -> None:
    known = {field.key: field for field in fields_of(section)}
    for name, raw in table.items():
        if name not in known:
            raise _error(source.name, f"{key}.{name}", f"unknown key{_near(name, known)}")
        build.put(f"{key}.{name}", target, known[name], raw, source)


def _take_environment(
    build: _Build, sections: Mapping[str, tuple[type[Any], bool]], environ: Mapping[str, str]
) -> None:
    """`GATEWAY_<SECTION>__<KEY>` and, for an existing listener, `GATEWAY_LISTENER__<NUMBER>__<KEY>`."""
    for variable in sorted(environ):
        match = _VARIABLE.fullmatch(variable)
        if match is None:
            continue
        name, rest = match[1].lower(), match[2].lower()
        source = Source(f"environment variable {variable}", Path.cwd(), environ, text=True)
        if name not in sections:
            raise _error(source.name, name, f"unknown section{_near(name, sections)}")
        section, repeated = sections[name]
        target, key = build.values.setdefault(name, {}) if not repeated else {}, name
        if repeated:
            number, _, rest = rest.partition("__")
            target, key = _list_item(build, name, number, source), f"{name}.{number}"
        _take_table(build, key, section, {rest: environ[variable]}, target, source)


def _list_item(build: _Build, name: str, number: str, source: Source) -> dict[str, Any]:
    """The values of one listener; the defaults become explicit when the first of them is overridden."""
    if name not in build.lists:
        defaults = getattr(Config(), name)
        build.lists[name] = [{field.name: getattr(item, field.name) for field in fields_of(type(item))}
                             for item in defaults]
    items = build.lists[name]
    if not items:
        raise _error(source.name, name, f"there is no {name} in the file")
    if not number.isdecimal() or int(number) >= len(items):
        raise _error(source.name, name, f"there is no {name} number {number}; they count from 0 to {len(items) - 1}")
    return items[int(number)]


def _error(source: str, key: str, reason: str) -> ConfigError:
    return ConfigError(f"{source}: {key}: {reason}")


def _near(name: str, known: Iterable[str]) -> str:
    """A suggestion when a known name is close to a mistyped one."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean \"{found[0]}\"?" if found else ""

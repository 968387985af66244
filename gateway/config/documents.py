"""What is written from the fields: config.example.toml, the manual page, `config show`, and the reload's difference."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from gateway.fields.setting import Field, Secret, describe, fields_of, settings_of

from .sections import Config

HIDDEN: Final = "***"
_WIDTH: Final = 110

_EXAMPLE_HEAD: Final = """\
# Configuration of the gateway. Every setting is shown with its default; remove the # to change one.
# Looked for at: --config, $GATEWAY_CONFIG, ./config.toml, /etc/gateway/config.toml.
# An environment variable GATEWAY_<SECTION>__<KEY> wins over this file, e.g. GATEWAY_RELAY__HOST.
# A secret may be given as "file:PATH", "env:NAME" or "credential:NAME" (systemd). Relative paths count from this file.
"""

_MANUAL_HEAD: Final = """\
# Configuration

The gateway runs without a configuration file. A file is looked for at `--config`, `$GATEWAY_CONFIG`, `./config.toml`
and `/etc/gateway/config.toml`; the first one found is the only one read. `gateway config check` says whether it can be
used, `gateway config show` prints what is in force, with secrets hidden. `config.example.toml` holds every setting with
its default.

An unknown key, a wrong type or a combination that cannot work stops the start with one line that names file, key and
reason. Tables that repeat count from 0 there: `route.0` is the first `[[route]]`.

- Environment: `GATEWAY_<SECTION>__<KEY>` wins over the file (`GATEWAY_RELAY__HOST=smtp.example.com`). Lists are
  separated by commas. `GATEWAY_LISTENER__0__PORT` changes the first listener.
- Secrets (marked *secret*): the text itself, or `file:PATH`, `env:NAME`, or `credential:NAME` (systemd's
  `LoadCredential=`).
- Relative paths count from the directory of the file they stand in; in the environment, from the working directory.
- Reload: on SIGHUP settings marked *reload* take their new value at once; the others wait for a restart, and the log
  says so.

This page is made from the code.
"""


def toml(value: Any) -> str:
    """A value as TOML; None has no form there and is written as an empty text, which the loader takes for None."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, Secret):
        value = HIDDEN if value.withheld else value.reveal()
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def shown(value: Any) -> Any:
    """`value` as it may be shown: a password in a URL or a secret is replaced by ***."""
    if not isinstance(value, Secret):
        return value
    if value.withheld:
        return HIDDEN
    text = value.reveal()
    if "://" in text:
        parts = urlsplit(text)
        if parts.password is None and not parts.query:
            return text
        # Query parameters of a database URL may hold a password too.
        place = parts.netloc.rpartition("@")
        user = place[0].partition(":")[0]
        netloc = f"{user}:{HIDDEN}@{place[2]}" if parts.password is not None else parts.netloc
        return urlunsplit((parts.scheme, netloc, parts.path, HIDDEN if parts.query else "", ""))
    return HIDDEN if text else ""


def as_dict(config: Config) -> dict[str, Any]:
    """Effective values by section, secrets hidden, ready for JSON."""

    def table(section: Any) -> dict[str, Any]:
        return {field.key: _plain(shown(getattr(section, field.name))) for field in fields_of(type(section))}

    result: dict[str, Any] = {}
    for name, _, repeated in settings_of(Config):
        value = getattr(config, name)
        result[name] = [table(item) for item in value] if repeated else table(value)
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def show(config: Config) -> str:
    """Effective configuration as TOML, secrets hidden: for `gateway config show`."""
    lines: list[str] = []
    for name, section, repeated in settings_of(Config):
        value = getattr(config, name)
        for item in value if repeated else (value,):
            lines.append(f"[[{name}]]" if repeated else f"[{name}]")
            lines += [f"{field.key} = {toml(shown(getattr(item, field.name)))}" for field in fields_of(section)]
            lines.append("")
    return "\n".join(lines)


def _facts(field: Field) -> str:
    """Type, unit, bounds and marks of a field in one line."""
    low, high = field.setting.low, field.setting.high
    kind = f"empty or {field.kind}" if field.optional and field.choices else field.kind
    facts = [f"{kind} ({field.setting.unit})" if field.setting.unit else kind]
    if low is not None and high is not None:
        facts.append(f"{low} to {high}")
    elif low is not None:
        facts.append(f"{low} or more")
    if field.setting.secret:
        facts.append("secret")
    if field.setting.reloadable:
        facts.append("reload")
    return ", ".join(facts)


def render_example() -> str:
    """The text of config.example.toml. Loading it gives the defaults."""
    lines = [_EXAMPLE_HEAD]
    for name, section, repeated in settings_of(Config):
        head, rest = describe(section)
        lines += [f"# {line}" for line in textwrap.wrap(f"{head} {rest}".strip(), _WIDTH)]
        default = getattr(Config(), name)
        items = default or (section(),) if repeated else (default,)
        for number, item in enumerate(items):
            if number:
                lines.append("")
            there = "" if default else "#"  # a list that is empty by default shows what an item has
            lines.append(f"{there}[[{name}]]" if repeated else f"[{name}]")
            for field in fields_of(section):
                value = getattr(item, field.name)
                if number == 0:
                    text = f"{field.setting.doc} ({_facts(field)})"
                    lines += [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]
                # Values that make one listener differ from another stand open, or the three would be the same.
                live = repeated and not there and (value != field.default or field.name in {"kind", "port", "security"})
                if live or number == 0:
                    lines.append(f"{'' if live else '#'}{field.key} = {toml(value)}")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def render_manual() -> str:
    """The text of docs/configuration.md."""
    lines = [_MANUAL_HEAD]
    for name, section, repeated in settings_of(Config):
        head, rest = describe(section)
        lines += [f"## `{'[[' if repeated else '['}{name}{']]' if repeated else ']'}`", "", head, ""]
        if rest:
            lines += [rest, ""]
        lines += ["| key | default | | meaning |", "|---|---|---|---|"]
        for field in fields_of(section):
            default = "" if field.default in (None, "", ()) or field.default == Secret() else f"`{toml(field.default)}`"
            lines.append(f"| `{field.key}` | {default} | {_facts(field)} | {field.setting.doc} |")
        lines.append("")
        if repeated and getattr(Config(), name):
            lines += ["Defaults: " + "; ".join(
                f"{item.kind} on {item.port} ({item.security})" for item in getattr(Config(), name)) + ".", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs between two configurations, as it may be shown."""

    key: str
    old: Any
    new: Any
    reloadable: bool


def changes(old: Config, new: Config) -> tuple[Change, ...]:
    """What a reload finds different. Items added to a list or removed are one change of it."""
    return tuple(_changes(old, new))


def _changes(old: Config, new: Config) -> Iterator[Change]:
    for name, section, repeated in settings_of(Config):
        before, after = getattr(old, name), getattr(new, name)
        if not repeated:
            yield from _field_changes(name, section, before, after)
        elif len(before) != len(after):
            yield Change(name, len(before), len(after), _is_reloadable(section))
        else:
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _field_changes(f"{name}.{number}", section, one, other)


def _field_changes(prefix: str, section: type[Any], before: Any, after: Any) -> Iterator[Change]:
    for field in fields_of(section):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if one != other:
            yield Change(f"{prefix}.{field.key}", _plain(shown(one)), _plain(shown(other)),
                         field.setting.reloadable)


def _is_reloadable(section: type[Any]) -> bool:
    """Whether items of a list may come and go: a listener never, a route at any time."""
    return all(field.setting.reloadable for field in fields_of(section))


def reloaded(old: Config, new: Config) -> Config:
    """`old` with only those values of `new` that a running process can take: what is in force after a SIGHUP."""
    parts: dict[str, Any] = {}
    for name, section, repeated in settings_of(Config):
        before, after = getattr(old, name), getattr(new, name)
        if repeated:
            parts[name] = after if _is_reloadable(section) else before
            continue
        parts[name] = section(**{
            field.name: getattr(after if field.setting.reloadable else before, field.name)
            for field in fields_of(section)
        })
    return Config(**parts)

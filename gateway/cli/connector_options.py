"""Options of connectors on the command line: gathered from its options and files, with secrets resolved here.

Here, for the person who names a file or a variable sees other ones than the server does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

Json = Any

ASK: Final = "-"
"""The secret that stands for a question."""


def gathered(
    *, user: str | None, secret: str | None, imap_host: str | None, smtp_host: str | None, no_imap: bool, no_smtp: bool,
    mode: str | None, interval: int | None, pairs: Sequence[str], file: str | None,
) -> Json:
    """Sections of options as JSON; None when nothing was said. What stands on the command line beats the file."""
    # Only now: other commands do without.
    from gateway.connectors.given import Given, from_tables, from_texts, takes_several
    from gateway.fields.setting import Secret
    from gateway.fields.values import Source

    given = Given()
    if file is not None:
        path = Path(file)
        given = from_tables(_read(path), Source(file, path.absolute().parent, os.environ))
    texts = {
        "imap.user": user, "smtp.user": user, "imap.host": imap_host, "smtp.host": smtp_host, "sync.mode": mode,
        "sync.interval": None if interval is None else str(interval),
        "imap.enabled": "no" if no_imap else None, "smtp.enabled": "no" if no_smtp else None,
    }  # fmt: skip
    if secret is not None:
        texts |= {"smtp.secret" if no_imap else "imap.secret": asked("Password") if secret == ASK else secret}
    repeated: set[str] = set()
    for pair in pairs:
        path_, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not SECTION.KEY=VALUE", param_hint="--set")
        name = path_.strip()
        again = name in repeated and takes_several(name)
        texts[name] = f"{texts[name]},{text}" if again else text
        repeated.add(name)
    said = {key: text for key, text in texts.items() if text is not None}
    given = given.merged(from_texts(said, Source("command line", Path.cwd(), os.environ, text=True)))

    def plain(value: Any) -> Json:
        if isinstance(value, Secret):
            return value.reveal()
        return list(value) if isinstance(value, tuple) else value

    tables = {name: {key: plain(value) for key, value in table.items()} for name, table in given.values.items()}
    return {name: table for name, table in tables.items() if table} or None


def asked(what: str) -> str:
    """A secret that somebody types unseen; without a terminal, the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True))
    if not (line := sys.stdin.readline().rstrip("\r\n")):
        raise click.BadParameter("there is none on standard input", param_hint="--secret")
    return line


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is no TOML: {error}", param_hint="--file") from None


def described() -> list[dict[str, Json]]:
    """Every option with what is known of it."""
    from gateway.connectors.given import FIELDS
    from gateway.fields.setting import Secret

    rows = []
    for section, fields in FIELDS.items():
        for key, field in fields.items():
            unit = f" ({field.setting.unit})" if field.setting.unit else ""
            default = "" if isinstance(field.default, Secret) else field.default
            rows.append({
                "option": f"{section}.{key}", "kind": field.kind + unit,
                "default": list(default) if isinstance(default, tuple) else default, "text": field.setting.doc,
            })
    return rows


def providers() -> list[dict[str, Json]]:
    """What is known of providers."""
    from gateway.connectors.presets import PRESETS

    return [
        {
            "name": preset.name, "title": preset.title, "imap": preset.imap.get("host"),
            "smtp": preset.smtp.get("host"), "oauth": preset.oauth is not None, "passwords": preset.passwords,
            "help": preset.help,
        }
        for preset in PRESETS.values()
    ]

"""One raw value (from TOML or from an environment variable) -> the typed value of a field, strictly.

Every failure is a ValueError whose text is the reason, without file and key: the loader adds those.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .setting import Field, Secret

SECRET_FILE_OCTETS: Final = 64 * 1024  # a longer file is no password but a mistake
CREDENTIAL: Final = "credential:"
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from: `name` for errors, `base` for relative paths, `text`: everything is a string.

    `literal`: from a program that may not name our files or environment; a secret is what it says.
    """

    name: str
    base: Path
    environ: Mapping[str, str]
    text: bool = False
    literal: bool = False


def convert(field: Field, raw: Any, source: Source) -> Any:
    """The value of `field` from `raw`; ValueError with the reason if its type, choice or bounds do not fit."""
    if source.text:
        raw = _from_text(field, raw)
    value = _typed(field, raw, source)
    _bounded(field, value)
    if isinstance(value, Secret) and value.withheld:
        return value
    if field.setting.check is not None and value is not None:
        reason = field.setting.check(value.reveal() if isinstance(value, Secret) else value)
        if reason:
            raise ValueError(reason if field.setting.secret else f"{_quoted(value)} {reason}")
    return value


def _from_text(field: Field, raw: str) -> Any:
    """An environment variable's text as TOML would have given it; lists are separated by commas."""
    if field.base is bool:
        word = raw.strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise ValueError(f"must be true or false, not {raw!r}")
    if field.base is int:
        try:
            return int(raw)
        except ValueError:
            raise ValueError(f"must be a whole number, not {raw!r}") from None
    if typing.get_origin(field.base) is tuple:
        return [item.strip() for item in raw.split(",") if item.strip()]
    return raw


def _typed(field: Field, raw: Any, source: Source) -> Any:
    if field.choices:
        return _choice(field, raw)
    kind = field.base
    if kind is bool:
        return _exactly(bool, raw, field)
    if kind is int:
        return _exactly(int, raw, field)
    if typing.get_origin(kind) is tuple:
        if not isinstance(raw, list):
            raise _wrong(field, raw)
        for item in raw:
            if not isinstance(item, str):
                raise ValueError(f"must be a list of texts; {_quoted(item)} is none")
        return tuple(raw)
    text = _exactly(str, raw, field)
    if "\0" in text or ("\n" in text and not field.setting.lines):
        raise ValueError("must be one line")
    if field.setting.secret and not source.literal:
        if kind is Secret and text.startswith(CREDENTIAL) and not source.environ.get("CREDENTIALS_DIRECTORY"):
            return Secret(withheld=f"{source.name}: {field.name}: {text} is a credential that systemd gives to the "
                                   "service alone (LoadCredential=); this command needs it and has none")
        text = _resolved(text, source)
    if kind is Secret:
        return Secret(text)
    if kind is Path:
        if not text:
            if field.optional:
                return None
            raise ValueError("must not be empty")
        return source.base / Path(text).expanduser()
    return text


def _choice(field: Field, raw: Any) -> Any:
    words = typing.get_args(field.base)
    if raw == "" and field.optional:
        return None
    if raw in words:
        return raw
    raise ValueError(f"must be one of {', '.join(_quoted(word) for word in words)}, not {_quoted(raw)}")


def _exactly(kind: type, raw: Any, field: Field) -> Any:
    # TOML's true is no number although Python's bool is an int.
    if type(raw) is not kind:
        raise _wrong(field, raw)
    return raw


def _wrong(field: Field, raw: Any) -> ValueError:
    shown = "" if field.setting.secret else f", not {_quoted(raw)}"
    return ValueError(f"must be a {field.kind}{shown}" if field.base is not bool else f"must be {field.kind}{shown}")


def _bounded(field: Field, value: Any) -> None:
    if type(value) is not int:
        return
    low, high, unit = field.setting.low, field.setting.high, field.setting.unit
    tail = f" {unit}" if unit else ""
    if low is not None and value < low:
        raise ValueError(f"must be {low}{tail} at least, not {value}")
    if high is not None and value > high:
        raise ValueError(f"must be {high}{tail} at most, not {value}")


def _resolved(text: str, source: Source) -> str:
    """A secret as it stands, or read from `file:PATH`, `env:NAME` or systemd's `credential:NAME`."""
    prefix, colon, rest = text.partition(":")
    if not colon or prefix not in {"file", "env", "credential"}:
        return text
    if prefix == "env":
        if rest not in source.environ:
            raise ValueError(f"the environment has no variable {rest}")
        return source.environ[rest]
    if prefix == "credential":
        directory = source.environ["CREDENTIALS_DIRECTORY"]
        if not rest or "/" in rest:
            raise ValueError("credential: takes the name of one credential")
        path = Path(directory) / rest
    else:
        path = source.base / Path(rest).expanduser()
    try:
        with path.open("rb") as file:
            octets = file.read(SECRET_FILE_OCTETS + 1)
        if len(octets) > SECRET_FILE_OCTETS:
            raise ValueError(f"{path} is too long for a secret")
        return octets.decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text") from None


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    return str(value)

"""What connectors can be: the providers that are known, and the options that can be set."""

from __future__ import annotations

from gateway.connectors.given import FIELDS
from gateway.connectors.presets import PRESETS
from gateway.control.frames import Json
from gateway.fields.setting import Field, Secret

from .registry import Context, Stream, operation


@operation("connector.providers")
async def connector_providers(context: Context, stream: Stream) -> Json:
    """Presets by name: servers, whether passwords are taken, what helps to log in."""
    return [
        {
            "name": preset.name, "title": preset.title, "domains": sorted(preset.domains), "oauth": preset.oauth,
            "passwords": preset.passwords, "help": preset.help or None, "imap": dict(preset.imap),
            "smtp": dict(preset.smtp),
        }
        for preset in PRESETS.values()
    ]  # fmt: skip


@operation("connector.fields")
async def connector_fields(context: Context, stream: Stream) -> Json:
    """All options by section, with their meaning and default."""
    return [_field(section, each) for section, fields in FIELDS.items() for each in fields.values()]


def _field(section: str, each: Field) -> Json:
    default = each.default
    plain = "" if isinstance(default, Secret) else list(default) if isinstance(default, tuple) else default
    return {
        "section": section, "key": each.key, "help": each.setting.doc, "default": plain,
        "choices": list(each.choices) or None, "secret": each.setting.secret, "unit": each.setting.unit or None,
    }  # fmt: skip

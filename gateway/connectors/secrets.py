"""Passwords of connectors: one sealed text a side, bound to the connector's row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from gateway.fields.setting import Secret
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.sealing import Place, Sealer
from gateway.store.vault import Vault

SIDES: Final = ("imap", "smtp")


def sealed(sealer: Sealer, uuid: str, secrets: Mapping[str, Secret]) -> dict[str, bytes | None]:
    """Columns of the connector `uuid` that keep `secrets` (`section.key` -> secret); None where a side has none.

    One that was given empty is kept: `smtp.secret` "" says that no login is wanted there.
    """
    columns: dict[str, bytes | None] = {}
    for side in SIDES:
        held = {
            path.partition(".")[2]: secret.reveal()
            for path, secret in secrets.items() if path.startswith(f"{side}.")
        }
        column = f"{side}_secret"
        text = json.dumps(held, ensure_ascii=False)
        columns[column] = sealer.seal(text, Place("connector", uuid, column)) if held else None
    return columns


async def opened(vault: Vault, row: ConnectorRow) -> dict[str, Secret]:
    """`section.key` -> secret. MissingKey, Unsealable."""
    found: dict[str, Secret] = {}
    for side, octets in (("imap", row.imap_secret), ("smtp", row.smtp_secret)):
        if octets is not None:
            text = await vault.open(octets, Place("connector", row.uuid, f"{side}_secret"))
            found |= {f"{side}.{key}": Secret(value) for key, value in json.loads(text).items()}
    return found

"""Which key a SCRAM proof belongs to, found among all that open the inbox, in a time that tells nothing about it.

A mail client knows an address and a key's text, not which of several keys that is; so the user name is the address
alone, as with every other mechanism, and the proof is held against each verifier: 4 us each. That works because all
verifiers of a store have one salt (`gateway.wire.scram`).
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

from gateway.wire.scram import Malformed, Parameters, Proof, Verifier

MOST: Final = 1000
"""Keys of one inbox, its pod and the whole store that are tried: some 4 ms of the loop. Older ones use other ways."""

ROUND: Final = 32
"""The number of trials is made up to a multiple of this: nobody sees from the time whether an address has keys."""

_STORED: Final = 44  # characters of a StoredKey in base64
_NOBODY: Final = "A" * (_STORED - 1) + "="
_NO_KEY: Final = bytes(32)
_NO_PROOF: Final = Proof(b"", bytes(32))


def fitting(verifiers: Sequence[tuple[str, str]], proof: Proof | None, wanted: Parameters) -> tuple[str, bytes] | None:
    """The key id and ServerSignature of the verifier that `proof` fits; None for none.

    `verifiers`: (key id, `Verifier.text`). Those with other parameters than the client was told fit nothing, nor do
    damaged ones; but all of them cost the same.
    """
    begin = wanted.text
    tried = proof or _NO_PROOF
    rounds = max(1, -(-len(verifiers) // ROUND))
    found: tuple[str, str] | None = None
    for pair in [*verifiers, *[("", begin + _NOBODY)] * (rounds * ROUND - len(verifiers))]:
        stored = _stored_key(pair[1], len(begin))
        if tried.fits(stored) and pair[1].startswith(begin):
            found = pair
    if found is None or proof is None or not found[0]:
        return None
    try:
        signature = proof.signature(Verifier.of(found[1]))
    except Malformed:
        return None
    return None if signature is None else (found[0], signature)


def _stored_key(text: str, start: int) -> bytes:
    try:
        return binascii.a2b_base64(text[start : start + _STORED])
    except (binascii.Error, ValueError):
        return _NO_KEY

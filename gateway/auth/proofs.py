"""Which key a SCRAM proof belongs to, found among all that open the inbox, in a time that tells nothing about it.

A mail client knows an address and a key's text, not which of several keys that is; so the user name is the address
alone, as with every other mechanism, and the proof is held against each verifier: 3 us each. That works because all
verifiers of a store have one salt (`gateway.wire.scram`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.wire.scram import Malformed, Parameters, Proof, Verifier, derive

MOST: Final = 1000
"""Keys of one inbox, its pod and the whole store that are tried: some 5 ms of the loop. Older ones use other ways."""

ROUND: Final = 32
"""The number of trials is made up to a multiple of this: nobody sees from the time whether an address has keys."""

_NOBODY: Final = derive("", Parameters(b"nobody", 1)).text
_NO_PROOF: Final = Proof(b"", bytes(32))


def fitting(verifiers: Sequence[tuple[str, str]], proof: Proof | None, wanted: Parameters) -> tuple[str, bytes] | None:
    """The key id and ServerSignature of the verifier that `proof` fits; None for none.

    `verifiers`: (key id, text). Those with other parameters than the client was told fit nothing.
    """
    found: tuple[str, bytes] | None = None
    tried = proof or _NO_PROOF
    rounds = max(1, -(-len(verifiers) // ROUND))
    for key_id, text in [*verifiers, *[("", _NOBODY)] * (rounds * ROUND - len(verifiers))]:
        try:
            verifier = Verifier.of(text)
        except Malformed:
            continue  # a damaged one fits nothing, as a damaged hash does
        signature = tried.signature(verifier)
        if signature is not None and key_id and verifier.parameters == wanted and proof is not None:
            found = key_id, signature
    return found

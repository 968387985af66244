"""The envelope itself: what opens, what does not, and that nothing shows a key or a secret."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import ConfigError
from gateway.store.sealing import (
    OVERHEAD,
    KeyRing,
    MasterKey,
    MissingKey,
    Place,
    Sealer,
    Unsealable,
    key_id_of,
    read_keys,
)

KEY = MasterKey(bytes(range(32)))
PLACE = Place("oauth_grant", "row", "refresh_sealed")


def sealer(*keys: MasterKey) -> Sealer:
    ring = KeyRing(keys or (KEY,), "master.key")
    return Sealer(ring, ring.first.id)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_was_sealed_opens(secret: str, row: str) -> None:
    place = Place("table", row, "column")
    sealed = sealer().seal(secret, place)
    assert sealer().open(sealed, place) == secret
    assert len(sealed) == OVERHEAD + len(secret.encode())
    assert key_id_of(sealed) == KEY.id
    assert sealed != sealer().seal(secret, place)


@given(st.data())
def test_no_changed_octet_opens(data: st.DataObject) -> None:
    sealed = bytearray(sealer().seal("hunter2", PLACE))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Unsealable, MissingKey)) as caught:
        sealer().open(bytes(sealed), PLACE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 8, 9, OVERHEAD - 1, OVERHEAD])
def test_what_is_too_short_does_not_open(length: int) -> None:
    with pytest.raises(Unsealable):
        sealer().open(sealer().seal("hunter2", PLACE)[:length], PLACE)


@pytest.mark.parametrize(
    "place",
    [
        Place("oauth_app", "row", "refresh_sealed"),
        Place("oauth_grant", "other", "refresh_sealed"),
        Place("oauth_grant", "row", "access_sealed"),
        Place("oauth_grantrow", "", "refresh_sealed"),
        Place("oauth_grant", "rowrefresh_sealed", ""),
    ],
)
def test_another_place_does_not_open_it(place: Place) -> None:
    with pytest.raises(Unsealable, match="copied from another row"):
        sealer().open(sealer().seal("hunter2", PLACE), place)


def test_keys_open_what_they_have_sealed() -> None:
    other = MasterKey.draw()
    sealed = sealer().seal("hunter2", PLACE)
    assert sealer(other, KEY).open(sealed, PLACE) == "hunter2"
    assert key_id_of(sealer(other, KEY).seal("hunter2", PLACE)) == other.id
    with pytest.raises(MissingKey, match=f"master key {KEY.id}.*holds {other.id}"):
        sealer(other).open(sealed, PLACE)
    with pytest.raises(MissingKey):
        Sealer(KeyRing([other], "x"), KEY.id)


def test_nothing_shows_a_key() -> None:
    ring = KeyRing([KEY], "master.key")
    for thing in (KEY, ring, Sealer(ring, KEY.id)):
        shown = repr(thing) + str(thing)
        assert KEY.text not in shown
        assert bytes(range(32)).hex() not in shown
        assert KEY.id in shown
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(KEY)


def test_keys_as_text() -> None:
    other = MasterKey.draw()
    text = f"# remark {KEY.text}\n\n{KEY.text}  {bytes(range(1, 33)).hex()}\n{other.text.rstrip('=')}\n"
    ring = read_keys(text.replace("+", "-").replace("/", "_"), "x")
    assert list(ring) == [KEY, MasterKey(bytes(range(1, 33))), other]
    assert ring.first == KEY
    for bad in ("", "# only\n", "hunter2", KEY.text[:-4], KEY.text + "AAAA", "ä" * 43, "=" * 44, "zz" * 32):
        with pytest.raises(ConfigError) as caught:
            read_keys(bad, "env:KEY")
        assert not bad or bad not in str(caught.value)
        assert "env:KEY" in str(caught.value)

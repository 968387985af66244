"""The form of a key, tampering, hashing, and the cache that proves one thing only."""

from __future__ import annotations

import string
import zlib
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import keys
from gateway.auth.cache import VerifiedSecrets

ALPHABET = string.digits + string.ascii_letters


def test_the_form_of_a_key() -> None:
    key = keys.generate()
    assert len(key.text) == keys.KEY_LENGTH == 47
    assert key.text.startswith("gw_")
    assert set(key.text[3:]) <= set(ALPHABET)
    assert keys.parse(key.text) == key
    assert keys.generate() != key


def test_the_checksum_is_crc32_in_base62() -> None:
    text = keys.checksum("0123456789" + "a" * 28)
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = 0
    for digit in text:
        number = number * 62 + digits.index(digit)
    assert number == zlib.crc32(b"0123456789" + b"a" * 28)
    assert len(text) == 6


def test_a_repr_holds_no_secret() -> None:
    key = keys.generate()
    assert key.secret not in repr(key)
    assert key.key_id in repr(key)


@given(position=st.integers(3, 46), sign=st.sampled_from(ALPHABET))
def test_one_changed_character_is_noticed(position: int, sign: str) -> None:
    text = keys.ApiKey("Abcdef0123", "0123456789abcdefghijABCDEFGH").text
    changed = text[:position] + sign + text[position + 1:]
    assert (keys.parse(changed) is None) == (changed != text)


@given(st.text(max_size=60))
def test_any_text_parses_or_not_without_an_error(text: str) -> None:
    parsed = keys.parse(text)
    assert parsed is None or parsed.text == text


@pytest.mark.parametrize("change", [
    str.lower, str.upper, lambda text: text + "x", lambda text: text[:-1], lambda text: " " + text,
    lambda text: text + "\n", lambda text: "GW_" + text[3:], lambda text: text.replace("a", "а"),
    lambda text: text[:3] + text[13:41] + text[3:13] + text[41:],
])
def test_tampering_is_no_key(change) -> None:  # type: ignore[no-untyped-def]
    text = keys.ApiKey("Abcdef0123", "0123456789abcdefghijABCDEFGH").text
    assert keys.parse(change(text)) is None


def test_a_bad_checksum_is_refused_without_hashing() -> None:
    text = keys.generate().text
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    with patch.object(keys, "_HASHER") as hasher:
        assert keys.parse(wrong) is None
    assert hasher.mock_calls == []


def test_hash_and_verify() -> None:
    stored = keys.hash_secret("s" * 28)
    assert stored.startswith("$argon2id$v=19$m=4096,t=1,p=1$")
    assert stored != keys.hash_secret("s" * 28), "salted"
    assert keys.verify_secret(stored, "s" * 28)
    assert not keys.verify_secret(stored, "t" * 28)
    assert not keys.verify_secret(stored[:-2] + "AA", "s" * 28)
    for damaged in ("", "plain", "$argon2id$", stored[:30]):
        assert not keys.verify_secret(damaged, "s" * 28)


def test_the_cache_knows_only_pairs_it_was_told() -> None:
    cache = VerifiedSecrets(10)
    assert not cache.knows("secret")
    cache.add("secret", "hash one")
    assert cache.knows("secret")
    assert cache.matches("secret", "hash one")
    assert not cache.matches("secret", "hash two"), "a key that was made again has another hash"
    assert not cache.matches("other", "hash one")
    cache.add("secret", "hash two")
    assert not cache.matches("secret", "hash one")


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    cache = VerifiedSecrets(2)
    cache.add("a", "1")
    cache.add("b", "2")
    assert cache.matches("a", "1")
    cache.add("c", "3")
    assert len(cache) == 2
    assert cache.matches("a", "1")
    assert not cache.knows("b")
    disabled = VerifiedSecrets(0)
    disabled.add("a", "1")
    assert not disabled.knows("a")


def test_the_cache_holds_no_secret_and_has_a_key_of_its_own() -> None:
    one, other = VerifiedSecrets(), VerifiedSecrets()
    one.add("the secret", "h")
    other.add("the secret", "h")
    assert "the secret" not in repr(one.__dict__)
    assert one._entries.keys() != other._entries.keys()

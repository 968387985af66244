"""The local CA: what it makes, when it makes it again, and that a thief could do nothing with it elsewhere."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config import ConfigError
from gateway.ops import pki
from gateway.ops.tls import TlsFiles, TlsPolicy, stdlib_context
from tests.unit.ops.tls_pairs import client_context, handshake, stdlib_server

NOW = datetime.now(UTC).replace(microsecond=0)


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def server(path: Path):  # type: ignore[no-untyped-def]
    return stdlib_server(stdlib_context(TlsFiles(path, path), TlsPolicy()))


def test_first_start_makes_a_ca_and_a_leaf(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "tls", ["mail.example.org", "192.0.2.9"], NOW)
    assert (made.created_ca, made.created_leaf) == (True, True)
    ca, leaf = read(made.ca_file), read(made.server_file)
    leaf.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
    for certificate in (ca, leaf):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(sans.get_values_for_type(x509.DNSName)) == {"localhost", "mail.example.org"}
    assert {str(item) for item in sans.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1", "192.0.2.9"}
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical


def test_files_are_private(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "tls", [], NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600}
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    made.server_file.chmod(0o644)
    pki.ensure(tmp_path / "tls", [], NOW)
    assert made.server_file.stat().st_mode & 0o777 == 0o600


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    pki.ensure(tmp_path, ["mail.example.org"], NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made = pki.ensure(tmp_path, ["MAIL.example.org.", "localhost"], NOW + timedelta(days=100))
    assert (made.created_ca, made.created_leaf) == (False, False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["localhost", "mail.example.org", "127.0.0.1", "192.0.2.9", "xn--bcher-kva.example"])
def test_clients_that_trust_the_ca_verify_each_name(tmp_path: Path, name: str) -> None:
    made = pki.ensure(tmp_path, ["mail.example.org", "192.0.2.9", "bücher.example"], NOW)
    connection = handshake(server(made.server_file), client_context(made.ca_file), name)
    assert connection.version() == "TLSv1.3"


def test_clients_refuse_other_names_and_other_cas(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "one", [], NOW)
    other = pki.ensure(tmp_path / "two", [], NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server(made.server_file), client_context(made.ca_file), "mail.example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server(made.server_file), client_context(other.ca_file))


@pytest.mark.parametrize("name", ["bank.example", "192.0.2.10"])
def test_a_stolen_ca_key_is_worth_nothing_for_other_names(tmp_path: Path, name: str) -> None:
    made = pki.ensure(tmp_path, ["mail.example.org"], NOW)
    ca = pki._read_ca(made.ca_file, tmp_path / "ca.key")
    assert ca is not None
    leaf, key = pki._make_leaf(ca, [name], NOW)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(pki._key_pem(key) + leaf.public_bytes(pki.serialization.Encoding.PEM))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(server(forged), client_context(made.ca_file), name)


def test_the_leaf_renews_itself_under_the_same_ca(tmp_path: Path) -> None:
    first = pki.ensure(tmp_path, [], NOW)
    ca, leaf = first.ca_file.read_bytes(), first.server_file.read_bytes()
    assert not pki.ensure(tmp_path, [], NOW + timedelta(days=330)).created_leaf
    renewed = pki.ensure(tmp_path, [], NOW + timedelta(days=340))
    assert (renewed.created_ca, renewed.created_leaf) == (False, True)
    assert renewed.ca_file.read_bytes() == ca
    assert renewed.server_file.read_bytes() != leaf


def test_the_ca_is_replaced_before_a_leaf_would_outlive_it(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [], NOW)
    late = pki.ensure(tmp_path, [], NOW + timedelta(days=3650 - 396))
    assert late.created_ca
    assert read(late.server_file).not_valid_after_utc < read(late.ca_file).not_valid_after_utc


def test_a_new_host_needs_a_new_ca_and_a_host_less_only_a_new_leaf(tmp_path: Path) -> None:
    pki.ensure(tmp_path, ["a.example"], NOW)
    assert pki.ensure(tmp_path, ["a.example", "b.example"], NOW).created_ca
    fewer = pki.ensure(tmp_path, ["b.example"], NOW)
    assert (fewer.created_ca, fewer.created_leaf) == (False, True)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "other"])
def test_damaged_files_are_made_again(tmp_path: Path, name: str, damage: str) -> None:
    pki.ensure(tmp_path / "mine", [], NOW)
    pki.ensure(tmp_path / "other", [], NOW)
    path = tmp_path / "mine" / name
    octets = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "cut": octets[: len(octets) // 2],
                          "other": (tmp_path / "other" / name).read_bytes()}[damage])
    made = pki.ensure(tmp_path / "mine", [], NOW)
    assert made.created_leaf
    assert made.created_ca == (name != "server.pem")
    assert handshake(server(made.server_file), client_context(made.ca_file)).version() == "TLSv1.3"


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pki.ensure(tmp_path, [], NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        pki.ensure(tmp_path, ["new.example"], NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_fingerprint_and_bad_files(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, [], NOW)
    shown = pki.fingerprint(made.ca_file)
    assert len(shown.split(":")) == 32
    assert shown == shown.upper()
    with pytest.raises(ConfigError, match=r"nothing\.pem: cannot be read"):
        pki.fingerprint(tmp_path / "nothing.pem")
    (tmp_path / "text.pem").write_text("text")
    with pytest.raises(ConfigError, match="holds no PEM certificate"):
        pki.fingerprint(tmp_path / "text.pem")
    with pytest.raises(ConfigError, match="is no host name"):
        pki.ensure(tmp_path, ["a" * 64 + ".example"], NOW)

"""Certificates of every kind that a peer may show: of a CA made for the test, expired, for other names, weak."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

# RFC 2409 6.2 (1024 bits) and RFC 3526 3 (2048 bits); their generator is 2.
_TAIL: Final = "FFFFFFFFFFFFFFFF"
_OAKLEY: Final = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE"
)
GROUPS: Final = {
    1024: int(_OAKLEY + "65381" + _TAIL, 16),
    2048: int(
        _OAKLEY + "45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED52907709"
        "6966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695"
        "5817183995497CEA956AE515D2261898FA051015728E5A8AACAA68" + _TAIL,
        16,
    ),
}


@dataclass(frozen=True)
class Leaf:
    """`file`: certificate and key in PEM."""

    file: Path
    certificate: x509.Certificate

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it shows what is too weak for its peer
        context.load_cert_chain(self.file)
        return context


class Authority:
    """One CA; `file` holds its certificate, `pem` is the same as text."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        self.certificate = (
            _builder(subject, subject, self._key.public_key(), 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()
        self.file = directory / f"{name}.pem"
        self.file.write_text(self.pem)

    def leaf(self, *names: str, days: int = 30, bits: int = 2048) -> Leaf:
        """For the names and addresses (localhost and 127.0.0.1), valid for so many days yet."""
        key = rsa.generate_private_key(65537, bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        certificate = (
            _builder(subject, self.certificate.subject, key.public_key(), days)
            .add_extension(
                x509.SubjectAlternativeName([_name(name) for name in names or ("localhost", "127.0.0.1")]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        file = self._directory / f"{self._name}-{certificate.serial_number:x}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
        return Leaf(file, certificate)


def group_file(directory: Path, bits: int) -> Path:
    """Diffie-Hellman parameters of 1024 or 2048 bits, as OpenSSL reads them."""
    prime = GROUPS[bits].to_bytes(bits // 8, "big")
    # PKCS #3: SEQUENCE { prime INTEGER, base INTEGER 2 }, the prime with a leading zero for its sign.
    numbers = b"\x02\x82" + (len(prime) + 1).to_bytes(2, "big") + b"\0" + prime + b"\x02\x01\x02"
    octets = base64.encodebytes(b"\x30\x82" + len(numbers).to_bytes(2, "big") + numbers).decode()
    file = directory / f"dh{bits}.pem"
    file.write_text(f"-----BEGIN DH PARAMETERS-----\n{octets}-----END DH PARAMETERS-----\n")
    return file


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
    )

"""SCRAM-SHA-256: the RFC's own example, both halves against each other, and what neither accepts."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import sasl, sasl_client, scram
from gateway.wire.saslprep import saslprep
from gateway.wire.scram import ClientFirst, Malformed, Parameters, Verifier, derive

# RFC 7677 3
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = derive("pencil", Parameters(SALT, 4096))
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

QUICK = Parameters(b"salt", 1)


def with_(parameters: Parameters = PENCIL.parameters, **bound: bytes) -> sasl.Scram:
    table = {kind.replace("_", "-"): data for kind, data in bound.items()}
    return sasl.Scram(parameters, NONCE, bool(bound), table.get)


def server(initial: bytes | None = FIRST, *, plus: bool = False, **bound: bytes) -> sasl.Exchange:
    return sasl.scram_sha_256(initial, with_(**bound), plus=plus)


def test_the_example_of_the_rfc_from_the_server():
    exchange = server()
    assert next(exchange) == sasl.Challenge(SERVER_FIRST)
    prove = exchange.send(FINAL)
    assert isinstance(prove, sasl.Prove)
    assert prove.user == "user"
    assert prove.proof is not None
    signature = prove.proof.signature(PENCIL)
    assert exchange.send(signature) == sasl.Challenge(SERVER_FINAL)
    with pytest.raises(StopIteration):
        exchange.send(b"")
    assert prove.proof.signature(derive("pencil", Parameters(b"other", 4096))) is None


def test_the_example_of_the_rfc_from_the_client():
    client = sasl_client.scram_sha_256("user", "pencil", b"rOprNGfwEbeRWgbNEkqO")
    assert next(client) == FIRST
    assert client.send(SERVER_FIRST) == FINAL
    assert client.send(SERVER_FINAL) == b""


def test_without_initial_response_the_client_is_asked():
    exchange = server(None)
    assert next(exchange) == sasl.Challenge(b"")
    assert exchange.send(FIRST) == sasl.Challenge(SERVER_FIRST)


def talk(client: sasl_client.Exchange, exchange: sasl.Exchange, verifier: Verifier) -> bool:
    """Whether the server lets the client in; whatever it answers, the client has checked it."""
    response = next(client)
    assert response is not None
    step = next(exchange)
    assert step == sasl.Challenge(b"")
    answer: bytes | None = response
    try:
        while True:
            step = exchange.send(answer)
            if isinstance(step, sasl.Challenge):
                answer = client.send(step.octets)
            else:
                assert isinstance(step, sasl.Prove)
                answer = step.proof.signature(verifier) if step.proof is not None else None
                if answer is None:
                    with pytest.raises(StopIteration):
                        exchange.send(None)
                    return False
    except StopIteration:
        return True


@given(st.text(min_size=1), st.text(), st.text())
def test_both_halves_agree(user: str, password: str, other: str):
    try:
        saslprep(user), saslprep(password, stored=True)
        verifier = derive(password, QUICK)
    except ValueError:
        return
    if "\0" in user or not saslprep(user):
        return
    wrong = saslprep(other) if other.isascii() and other.isprintable() else "?"
    for said, good in ((password, True), (wrong, wrong == saslprep(password, stored=True))):
        client = sasl_client.scram_sha_256(user, said, b"abc")
        assert talk(client, sasl.scram_sha_256(None, with_(QUICK), plus=False), verifier) is good


def test_channel_binding():
    binding = ("tls-exporter", b"\0\xff" * 16)
    bound = {"tls_exporter": binding[1], "tls_server_end_point": b"x"}

    def plus(binding: tuple[str, bytes] | None, **more: bool) -> bool:
        client = sasl_client.scram_sha_256("user", "pencil", b"abc", binding=binding, **more)
        return talk(client, server(None, plus=True, **bound), PENCIL)

    assert plus(binding)
    assert plus(("tls-server-end-point", b"x"))
    assert not plus(("tls-server-end-point", b"y")), "somebody in the middle"
    assert not plus(("tls-unique", b"x")), "a type that this connection does not have"
    assert not plus(None), "the name says that the channel is bound"

    def bare(**client: object) -> bool:
        exchange = sasl_client.scram_sha_256("user", "pencil", b"abc", **client)  # type: ignore[arg-type]
        return talk(exchange, server(None, **bound), PENCIL)

    assert bare()
    assert not bare(can_bind=True), "RFC 5802 6: our -PLUS was hidden from the client"
    assert not bare(binding=binding)
    client = sasl_client.scram_sha_256("user", "pencil", b"abc", can_bind=True)
    assert talk(client, server(None), PENCIL), "there is nothing to bind to, as the client believes"


def test_nobody_acts_for_another():
    for identity, good in (("user", True), ("USER", True), ("other", False)):
        client = sasl_client.scram_sha_256("user", "pencil", b"abc", identity=identity)
        assert talk(client, server(None), PENCIL) is good


def test_a_nonce_of_another_exchange():
    exchange = server()
    next(exchange)
    prove = exchange.send(FINAL.replace(b"hNlF$k0", b"hNlF$k1"))
    assert isinstance(prove, sasl.Prove)
    assert prove.proof is None


@pytest.mark.parametrize(
    "message",
    [b"", b"n", b"n,,", b"x,,n=user,r=a", b"n,,r=a,n=user", b"n,,n=,r=a", b"n,,n=user,r=", b"n,,n=us=er,r=a",
     b"n,,n=us=2cer,r=a", b"n,,m=x,n=user,r=a", b"n,,n=user,r=a b", b"n,,n=\xff,r=a", b"n,,n=\x07,r=a", b"p=,,n=u,r=a",
     b"n,user,n=user,r=a", b"n,,n=user,r=a,x", b"n,,n=user,r=a\x00"],
)  # fmt: skip
def test_broken_first_messages(message: bytes):
    with pytest.raises(Malformed):
        ClientFirst.parse(message)


def test_names_are_escaped():
    first = ClientFirst.parse(b"y,a=a=3Db,n=a=3Db=2Cc,r=x,e=more")
    assert (first.flag, first.identity, first.user, first.nonce) == ("y", "a=b", "a=b,c", b"x")
    assert scram.to_saslname("a=b,c") == b"a=3Db=2Cc"


@pytest.mark.parametrize(
    "message",
    [b"", b"c=biws", FINAL.replace(b"p=", b"q="), FINAL[:-1], FINAL.replace(b"dHzb", b"d!zb"),
     FINAL.replace(b"c=biws", b"c=biwt="), FINAL.replace(b"p=dHzbZ", b"p=dHzb"), b"c=biws,r=x,p=AAAA",
     FINAL.replace(b"AndVQ=", b"AndVR=")],
)  # fmt: skip
def test_broken_final_messages(message: bytes):
    exchange = server()
    next(exchange)
    with pytest.raises(Malformed):
        exchange.send(message)


@pytest.mark.parametrize(
    "message",
    [b"", b"e=other-error", SERVER_FIRST.replace(b"r=rO", b"r=xO"), b"r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
     SERVER_FIRST.replace(b"i=4096", b"i=0"), SERVER_FIRST.replace(b"i=4096", b"i=99999999"),
     SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=W22Z!"), b"m=x," + SERVER_FIRST],
)  # fmt: skip
def test_a_client_refuses_what_no_server_says(message: bytes):
    client = sasl_client.scram_sha_256("user", "pencil", b"rOprNGfwEbeRWgbNEkqO")
    next(client)
    with pytest.raises(sasl_client.Refused):
        client.send(message)


@pytest.mark.parametrize(
    "message", [b"", b"e=invalid-proof", b"v=" + SERVER_FINAL[3:], SERVER_FINAL[:-8] + b"AAAAl95G4="]
)
def test_a_client_refuses_a_server_that_does_not_know_the_password(message: bytes):
    client = sasl_client.scram_sha_256("user", "pencil", b"rOprNGfwEbeRWgbNEkqO")
    next(client)
    client.send(SERVER_FIRST)
    with pytest.raises(sasl_client.Refused):
        client.send(message)


def test_a_verifier_as_text():
    assert Verifier.of(PENCIL.text) == PENCIL
    assert PENCIL.text.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert "server_key" not in repr(PENCIL)
    for broken in ("", "SCRAM-SHA-1$1:YQ==$YQ==:YQ==", PENCIL.text + "x", PENCIL.text.replace("$4096", "$0")):
        with pytest.raises(Malformed):
            Verifier.of(broken)


def test_saslprep():
    # RFC 4013 3
    assert saslprep("I\u00adX") == "IX"
    assert saslprep("user") == "user"
    assert saslprep("USER") == "USER"
    assert saslprep("\u00aa") == "a"
    assert saslprep("\u2168") == "IX"
    for prohibited in ("\u0007", "\u06271", "a\u06271\u0627", "\u200e"):
        with pytest.raises(ValueError, match=r"prohibited|directions|control"):
            saslprep(prohibited)
    assert saslprep("\u06271\u0628") == "\u06271\u0628"
    assert saslprep("a\u00a0b") == "a b"
    assert saslprep("\u0221") == "\u0221"
    with pytest.raises(ValueError, match="unassigned"):
        saslprep("\u0221", stored=True)

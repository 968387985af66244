"""Negotiations with proxies: what is said, what is understood, and that no octet of the server's is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import ConfigError
from gateway.outbound.errors import ConnectFailed, OutboundError, ProxyFailed
from gateway.outbound.failure import Failure
from gateway.outbound.proxy import MAX_HEADER, Proxy, ProxyKind, negotiation

SOCKS = Proxy(ProxyKind.SOCKS5, "proxy.example", 1080)
SOCKS_LOGIN = Proxy(ProxyKind.SOCKS5, "proxy.example", 1080, "zoë", "p4ss")
HTTP = Proxy(ProxyKind.HTTP, "proxy.example", 3128)
HTTP_LOGIN = Proxy(ProxyKind.HTTP, "proxy.example", 3128, "zoë", "pa:ss")

BOUND = [b"\x01\x7f\0\0\1", b"\x03\x05proxy", b"\x03\x00", b"\x04" + bytes(16)]


def played(proxy: Proxy, answers: bytes, host: str = "192.0.2.7", step: int = 1) -> tuple[bytes, bytes]:
    """What was said, and which octets were left; `step`: so many come at once at most."""
    talk = negotiation(proxy, host, 993)
    said = talk.start()
    while talk.wants:
        take = min(talk.wants, step)
        assert answers, "it waits for more than there is"
        said += talk.feed(answers[:take])
        answers = answers[take:]
    return said, answers


@pytest.mark.parametrize("bound", BOUND)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_socks5_takes_its_answers_and_nothing_of_the_servers(bound: bytes, step: int) -> None:
    answers = b"\x05\x00" + b"\x05\x00\x00" + bound + b"\x12\x34" + b"* OK hello"
    said, left = played(SOCKS, answers, step=step)
    assert said == b"\x05\x01\x00" + b"\x05\x01\x00\x01\xc0\x00\x02\x07\x03\xe1"
    assert left == b"* OK hello"


def test_socks5_with_a_login_and_other_kinds_of_targets() -> None:
    good = b"\x05\x00\x00\x01" + bytes(6)
    said, _ = played(SOCKS_LOGIN, b"\x05\x02" + b"\x01\x00" + good, host="2001:db8::1")
    assert said == (
        b"\x05\x02\x00\x02" + b"\x01\x04zo\xc3\xab\x04p4ss" + b"\x05\x01\x00\x04" + bytes.fromhex("20010db8")
        + bytes(11) + b"\x01\x03\xe1"
    )
    said, _ = played(SOCKS_LOGIN, b"\x05\x00" + good, host="imap.example")
    assert said == b"\x05\x02\x00\x02" + b"\x05\x01\x00\x03\x0cimap.example\x03\xe1"


@pytest.mark.parametrize(
    ("proxy", "answers", "kind", "failure", "words"),
    [
        (SOCKS, b"\x05\xff", ProxyFailed, Failure.PROXY, "wants a login"),
        (SOCKS, b"\x05\x02", ProxyFailed, Failure.PROXY, "wants a login"),  # which we did not offer
        (SOCKS_LOGIN, b"\x05\xff", ProxyFailed, Failure.PROXY, "another way to log in"),
        (SOCKS_LOGIN, b"\x05\x02\x01\x01", ProxyFailed, Failure.PROXY, "does not accept our user name"),
        (SOCKS, b"HT", ProxyFailed, Failure.PROXY, "does not speak SOCKS5"),
        (SOCKS, b"\x05\x00HTTP/", ProxyFailed, Failure.PROXY, "does not speak SOCKS5"),
        (SOCKS, b"\x05\x00\x05\x00\x00\x09\x00", ProxyFailed, Failure.PROXY, "does not speak SOCKS5"),
        (SOCKS, b"\x05\x00\x05\x01\x00\x01\x00", ConnectFailed, Failure.PROXY, "general failure"),
        (SOCKS, b"\x05\x00\x05\x02\x00\x01\x00", ProxyFailed, Failure.PROXY, "not allowed by its rules"),
        (SOCKS, b"\x05\x00\x05\x04\x00\x01\x00", ConnectFailed, Failure.REFUSED, "host cannot be reached"),
        (SOCKS, b"\x05\x00\x05\x05\x00\x01\x00", ConnectFailed, Failure.REFUSED, "was refused"),
        (SOCKS, b"\x05\x00\x05\x06\x00\x01\x00", ConnectFailed, Failure.TIMEOUT, "timed out"),
        (SOCKS, b"\x05\x00\x05\x63\x00\x01\x00", ProxyFailed, Failure.PROXY, "error 99"),
        (HTTP, b"HTTP/1.1 407 Who are you\r\n\r\n", ProxyFailed, Failure.PROXY, "wants a login"),
        (HTTP_LOGIN, b"HTTP/1.1 407 Who are you\r\n\r\n", ProxyFailed, Failure.PROXY, "does not accept our login"),
        (HTTP, b"HTTP/1.1 403 For\x1bbidden\r\n\r\n", ProxyFailed, Failure.PROXY, "refused: 403 For bidden"),
        (HTTP, b"HTTP/1.1 504\r\n\r\n", ConnectFailed, Failure.PROXY, "504"),
        (HTTP, b"220 mail.example ESMTP\r\n", ProxyFailed, Failure.PROXY, "does not speak HTTP"),
        (HTTP, b"HTTP/1.1 fine\r\n\r\n", ProxyFailed, Failure.PROXY, "does not speak HTTP"),
        (HTTP, b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEADER, ProxyFailed, Failure.PROXY, "without an end"),
        (HTTP, b"HTTP/1.1 100 Wait\r\n\r\n" * 500, ProxyFailed, Failure.PROXY, "without an end"),
    ],
)  # fmt: skip
def test_refusals_are_told_apart(
    proxy: Proxy, answers: bytes, kind: type[OutboundError], failure: Failure, words: str
) -> None:
    with pytest.raises(kind, match=words) as refused:
        played(proxy, answers)
    assert refused.value.failure is failure
    assert "p4ss" not in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::1"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_http_takes_its_answer_and_nothing_of_the_servers(host: str, end: str) -> None:
    answers = f"HTTP/1.1 100 Wait{end}{end}HTTP/1.1 200 Fine{end}Server: x{end}{end}".encode() + b"\r\n\r\n* OK hello"
    said, left = played(HTTP_LOGIN, answers, host=host, step=1000)
    where = "[2001:db8::1]:993" if ":" in host else "192.0.2.7:993"
    assert said == (
        f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\nProxy-Authorization: Basic em/DqzpwYTpzcw==\r\n\r\n".encode()
    )
    assert left == b"\r\n\r\n* OK hello"


@given(st.sampled_from([SOCKS, SOCKS_LOGIN, HTTP, HTTP_LOGIN]), st.binary(max_size=200), st.integers(1, 20))
def test_whatever_a_proxy_says_it_ends_in_a_class_of_failure(proxy: Proxy, answers: bytes, step: int) -> None:
    talk = negotiation(proxy, "192.0.2.7", 993)
    talk.start()
    try:
        while talk.wants and answers:
            take = min(talk.wants, step)
            talk.feed(answers[:take])
            answers = answers[take:]
    except OutboundError as error:
        said = str(error)
    else:
        said = ""
    assert said.isprintable()
    assert talk.wants >= 0


@pytest.mark.parametrize("host", ["a b", "a\r\nHost: x", "", "x" * 256, "bücher.example"])
@pytest.mark.parametrize("proxy", [SOCKS, HTTP])
def test_a_name_that_would_break_out_of_its_line_is_not_said(proxy: Proxy, host: str) -> None:
    with pytest.raises(ProxyFailed, match="cannot be told"):
        negotiation(proxy, host, 993)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("socks5://127.0.0.1:1080", Proxy(ProxyKind.SOCKS5, "127.0.0.1", 1080)),
        ("socks5h://me@proxy.example:1080", Proxy(ProxyKind.SOCKS5, "proxy.example", 1080, "me", remote_names=True)),
        ("http://m%40e:s%20t@[::1]:3128/", Proxy(ProxyKind.HTTP, "::1", 3128, "m@e", "s t")),
    ],
)
def test_urls(url: str, expected: Proxy) -> None:
    assert Proxy.of_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["proxy:1080", "https://proxy:1080", "socks5://proxy", "socks5://proxy:0", "socks5://proxy:99999", "http://:80",
     "http://proxy:80/path", "http://a%3Ab@proxy:80", "socks5://" + "u" * 256 + "@proxy:1"],
)  # fmt: skip
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(ConfigError):
        Proxy.of_url(url)


def test_a_proxy_never_shows_its_password() -> None:
    shown = Proxy.of_url("socks5://me@proxy.example:1080", "canary")
    assert "canary" not in repr(shown) + str(shown)
    with pytest.raises(ConfigError, match="twice"):
        Proxy.of_url("http://me:one@proxy.example:1080", "two")

"""Loading: search order, strict types, environment, secrets, and one error that names source, key and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, Listener, Secret, find, load, show


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def loaded(tmp_path: Path, text: str, **environ: str) -> Config:
    return load(write(tmp_path / "config.toml", text), environ).config


def test_no_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.config.loader.SEARCH_PATH", (Path("config.toml"),))
    result = load(None, {})
    assert result.path is None
    assert result.config == Config()
    assert [(item.kind, item.port, item.security) for item in result.config.listener] == [
        ("imap", 1993, "tls"), ("submission", 1465, "tls"), ("submission", 1587, "starttls"),
        ("web", 8443, "tls"),
    ]
    assert result.config.database_url == f"sqlite:///{tmp_path}/data/gateway.db"


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    system = write(tmp_path / "system.toml", "")
    monkeypatch.setattr("gateway.config.loader.SEARCH_PATH", (Path("config.toml"), system))
    assert find(None, {}) == system
    write(tmp_path / "config.toml", "")
    assert find(None, {}) == Path("config.toml")
    assert find(None, {"GATEWAY_CONFIG": "named.toml"}) == Path("named.toml")
    assert find("explicit.toml", {"GATEWAY_CONFIG": "named.toml"}) == Path("explicit.toml")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml", {})


def test_values_of_each_type(tmp_path: Path) -> None:
    config = loaded(tmp_path, """
        [server]
        hostname = "mail.example.org"
        [[listener]]
        kind = "submission"
        port = 587
        security = "starttls"
        networks = ["192.0.2.0/24", "2001:db8::/32"]
        minimum_version = "1.0"
        [tls]
        certificate = "cert.pem"
        key = "/abs/key.pem"
        [metrics]
        enabled = false
    """)
    assert config.server.hostname == "mail.example.org"
    assert config.listener == (
        Listener(kind="submission", port=587, security="starttls", networks=("192.0.2.0/24", "2001:db8::/32"),
                 minimum_version="1.0"),
    )
    assert config.tls.certificate == tmp_path / "cert.pem", "relative paths count from the file"
    assert config.tls.key == Path("/abs/key.pem")
    assert config.metrics.enabled is False


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = loaded(
        tmp_path, '[relay]\nhost = "one.example"\nport = 25\n',
        GATEWAY_RELAY__HOST="two.example", GATEWAY_STORE__DATA_DIR="elsewhere", GATEWAY_METRICS__ENABLED="no",
        GATEWAY_TLS__HOSTS="a.example, b.example", GATEWAY_LISTENER__0__PORT="2993", GATEWAY_CONFIG="ignored",
        GATEWAY_PORT="ignored", UNRELATED__X="ignored",
    )
    assert (config.relay.host, config.relay.port) == ("two.example", 25)
    assert config.store.data_dir == tmp_path / "elsewhere"
    assert config.metrics.enabled is False
    assert config.tls.hosts == ("a.example", "b.example")
    assert [item.port for item in config.listener] == [2993, 1465, 1587, 8443]


def test_secrets_come_from_files_environment_and_credentials(tmp_path: Path) -> None:
    write(tmp_path / "password", "from file\n")
    relay = '[relay]\nhost = "h"\nuser = "u"\nsecret = "{}"\n'
    assert loaded(tmp_path, relay.format("plain: text")).relay.secret == Secret("plain: text")
    assert loaded(tmp_path, relay.format("file:password")).relay.secret == Secret("from file")
    assert loaded(tmp_path, relay.format("env:PW"), PW="from env").relay.secret == Secret("from env")
    config = loaded(tmp_path, relay.format("credential:password"), CREDENTIALS_DIRECTORY=str(tmp_path))
    assert config.relay.secret.reveal() == "from file"
    assert "from file" not in repr(config)
    beside = loaded(tmp_path, relay.format("credential:password"))  # a command beside the service
    assert (show(beside).count("***"), bool(beside.relay.secret)) == (1, True)
    with pytest.raises(ConfigError, match="secret: credential:password is a credential that systemd gives"):
        beside.relay.secret.reveal()
    config = loaded(tmp_path, '[store]\nurl = "postgresql://u:canary@h/d"\n')
    assert "canary" not in repr(config)
    assert config.database_url == "postgresql://u:canary@h/d"


ERRORS = [
    ("[server]\nhostnam = 'x'", "server.hostnam: unknown key; did you mean \"hostname\"?"),
    ("[server]\nzzz = 'x'", "server.zzz: unknown key"),
    ("[sever]\nhostname = 'x'", "sever: unknown section; did you mean \"server\"?"),
    ("hostname = 'x'", "hostname: unknown key"),
    ("server = 'x'", "server: must be a section, written as [server]"),
    ("[listener]\nport = 1", "listener: must be written as [[listener]]"),
    ("[[server]]\nhostname = 'x'", "server: must be a section, written as [server]"),
    ("[relay]\nport = '25'", "relay.port: must be a whole number, not \"25\""),
    ("[relay]\nport = true", "relay.port: must be a whole number, not true"),
    ("[relay]\nport = 2.5", "relay.port: must be a whole number, not 2.5"),
    ("[relay]\nport = 65536", "relay.port: must be 65535 at most, not 65536"),
    ("[limits]\nlogin_timeout = 1", "limits.login_timeout: must be 5 seconds at least, not 1"),
    ("[relay]\nallow_private = 1", "relay.allow_private: must be true or false, not 1"),
    ("[relay]\nsecurity = 'ssl'", "relay.security: must be one of \"tls\", \"starttls\", \"none\", not \"ssl\""),
    ("[relay]\nhost = 'a b'", "relay.host: \"a b\" is no host name"),
    ("[tls]\nhosts = 'a'", "tls.hosts: must be a list of texts, not \"a\""),
    ("[tls]\nhosts = [1]", "tls.hosts: must be a list of texts; 1 is none"),
    ("[tls]\nhosts = ['a b']", "tls.hosts: [\"a b\"] 'a b' is no host name"),
    ("[tls]\nminimum_version = 1.2", "tls.minimum_version: must be one of \"1.0\", \"1.1\", \"1.2\", \"1.3\", not 1.2"),
    ("[store]\ndata_dir = ''", "store.data_dir: must not be empty"),
    ("[store]\nurl = 'mysql://u:canary@h'", "store.url: must start with sqlite:/// or postgresql://"),
    ("[store]\nurl = 7", "store.url: must be a text"),
    ("[relay]\nsecret = 'file:nothing'", "relay.secret: {dir}/nothing cannot be read: No such file or directory"),
    ("[relay]\nsecret = 'env:NOPE'", "relay.secret: the environment has no variable NOPE"),
    ("[relay]\nuser = \"a\\nb\"", "relay.user: must be one line"),
    ("[metrics]\naddress = 'localhost'", "metrics.address: \"localhost\" is no IP address"),
    ("[inbox]\nfirst = 'nobody'", "inbox.first: \"nobody\" is no mail address"),
    ("[[listener]]\n[[listener]]\nport = -1", "listener.1.port: must be 0 at least, not -1"),
    ("[[listener]]\npath = 'run/x'", "listener.0.path: \"run/x\" is no absolute path of a file"),
    ("[[listener]]\nmode = '0999'", "listener.0.mode: \"0999\" is no file mode such as 0660"),
    ("[[listener]]\nnetworks = ['300.0.0.0/8']", "listener.0.networks: [\"300.0.0.0/8\"] '300.0.0.0/8' is no network "
     "such as 192.0.2.0/24"),
]


@pytest.mark.parametrize(("text", "reason"), ERRORS, ids=[reason.split(":")[0] for _, reason in ERRORS])
def test_bad_values_name_file_key_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/config.toml: {reason.format(dir=tmp_path)}"


def test_syntax_and_encoding_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: is no TOML: .*line 2"):
        loaded(tmp_path, "[server]\nhostname =\n")
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"config\.toml: is no UTF-8 text"):
        load(tmp_path / "config.toml", {})


@pytest.mark.parametrize(("variable", "value", "message"), [
    ("GATEWAY_RELAY__PORT", "x", "relay.port: must be a whole number, not 'x'"),
    ("GATEWAY_RELAY__HOTS", "x", 'relay.hots: unknown key; did you mean "host"?'),
    ("GATEWAY_RELAI__HOST", "x", 'relai: unknown section; did you mean "relay"?'),
    ("GATEWAY_METRICS__ENABLED", "perhaps", "metrics.enabled: must be true or false, not 'perhaps'"),
    ("GATEWAY_LISTENER__4__PORT", "1", "listener: there is no listener number 4; they count from 0 to 3"),
    ("GATEWAY_LISTENER__PORT", "1", "listener: there is no listener number port; they count from 0 to 3"),
])
def test_bad_variables_are_named(tmp_path: Path, variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "", **{variable: value})
    assert str(caught.value) == f"environment variable {variable}: {message}"


RULES = [
    ("listener = []", "listener: needs at least one listener"),
    ("[[listener]]\nsecurity = 'none'", "listener.0.security: none would send keys readable"),
    ("[[listener]]\nallow_plaintext = true", "listener.0.allow_plaintext: has no meaning"),
    ("[[listener]]\nsecurity = 'none'\nallow_plaintext = true", "listener.0.networks: is missing; allow_plaintext"),
    ("[[listener]]\nsecurity = 'starttls'\nallow_plaintext = true", "listener.0.networks: is missing; allow_plain"),
    ("[[listener]]\nkind = 'lmtp'\nsecurity = 'none'\nallow_plaintext = true\nnetworks = ['192.0.2.0/24']",
     "listener.0.allow_plaintext: has no meaning with kind = \"lmtp\""),
    ("[[listener]]\nkind = 'lmtp'", "listener.0.networks: is missing; without a login"),
    ("[[listener]]\nkind = 'lmtp'\nport = 25\nnetworks = ['192.0.2.0/24']", "listener.0.port: 25 is SMTP's"),
    ("[[listener]]\npath = '/run/x'", "listener.0.path: is for kind = \"lmtp\" only"),
    ("[[listener]]\nkind = 'lmtp'\npath = '/run/x'\nnetworks = ['192.0.2.0/24']", "listener.0.networks: has no me"),
    ("[[listener]]\nkind = 'lmtp'\npath = '/run/x'\n[[listener]]\nkind = 'lmtp'\npath = '/run/x'",
     "listener.1.path: /run/x is already used"),
    ("[[listener]]\n[[listener]]", "listener.1.port: 0.0.0.0 port 1993 is already used by listener.0.port"),
    ("[[listener]]\n[[listener]]\naddress = '127.0.0.1'", "listener.1.port: 127.0.0.1 port 1993 is already used"),
    ("[[listener]]\naddress = '127.0.0.1'\n[[listener]]", "listener.1.port: 0.0.0.0 port 1993 is already used"),
    ("[[listener]]\nport = 9180", "metrics.port: 127.0.0.1 port 9180 is already used by listener.0.port"),
    ("[[listener]]\nsocket = 'a'\n[[listener]]\nsocket = 'a'", "listener.1.socket: \"a\" is already used"),
    ("[[listener]]\naddress='::1'\nsecurity='none'\nciphers='X'", "listener.0.ciphers: has no meaning"),
    ("[tls]\ncertificate = 'x'", "tls.key: is missing"),
    ("[tls]\nkey = 'x'", "tls.certificate: is missing"),
    ("[relay]\nuser = 'x'\nsecret = 'x'", "relay.host: is missing"),
    ("[relay]\nhost = 'x'\nuser = 'x'", "relay.secret: is missing"),
    ("[relay]\nhost = 'x'\nmechanism = 'plain'", "relay.user: is missing"),
    ("[relay]\nhost = 'localhost'\nuser = 'x'\nsecret = 'x'\nsecurity = 'none'\nmechanism = 'login'",
     "relay.mechanism: login shows the secret"),
    ("[relay]\nhost = 'x'\nsecret = 'x'", "relay.user: is missing"),
    ("[relay]\nhost = 'x'\nuser = 'x'\nsecret = 'x'\nsecurity = 'none'", "relay.security: none would send"),
    ("[limits]\nmax_import_size = 65536", "limits.max_import_size: must be limits.max_message_size at least"),
    ("[auth]\nfailures_per_day = 5", "auth.failures_per_day: must be auth.failures_per_minute at least"),
    ("[auth]\nlongest_delay = 5", "auth.longest_delay: must be auth.first_delay at least"),
    ("[queue]\nlongest_retry = 5", "queue.longest_retry: must be queue.first_retry at least"),
    ("[queue]\nfirst_retry = 1000\nlifetime = 60", "queue.lifetime: must be queue.first_retry at least"),
    ("[limits]\nimap_keepalive = 1800", "limits.imap_keepalive: must be shorter"),
]


@pytest.mark.parametrize(("text", "message"), RULES, ids=[message.split(":")[0] for _, message in RULES])
def test_impossible_combinations(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/config.toml: {message}")


def test_a_combination_set_by_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^environment variable GATEWAY_AUTH__LONGEST_DELAY: auth.longest_delay"):
        loaded(tmp_path, "", GATEWAY_AUTH__LONGEST_DELAY="1")


@pytest.mark.parametrize("text", [
    "[[listener]]\naddress = '127.0.0.1'\nsecurity = 'none'",
    "[[listener]]\nsecurity = 'none'\nallow_plaintext = true\nnetworks = ['192.0.2.0/24']",
    "[[listener]]\nsecurity = 'none'\nallow_plaintext = true\naddress = '127.0.0.1'",
    "[[listener]]\nkind = 'lmtp'\npath = '/run/gateway/lmtp'\nmode = '666'",
    "[[listener]]\nkind = 'lmtp'\nport = 24\nsecurity = 'none'\nnetworks = ['192.0.2.0/24']",
    "[[listener]]\nkind = 'lmtp'\nsocket = 'lmtp'",
    "[[listener]]\nkind = 'lmtp'\nsocket = 'lmtp'\npath = '/run/x'",
    "[[listener]]\nproxy_networks = ['192.0.2.7']\nnetworks = ['2001:db8::/32']",
    "[[listener]]\nport = 0\n[[listener]]\nport = 0",
    "[[listener]]\nsocket = 'a'\n[[listener]]\nsocket = 'b'",
    "[[listener]]\naddress = '192.0.2.1'\n[[listener]]\naddress = '192.0.2.2'",
    "[relay]\nhost = '127.0.0.1'\nuser = 'x'\nsecret = 'x'\nsecurity = 'none'",
])
def test_combinations_that_work(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text) != Config()

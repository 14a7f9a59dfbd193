"""Files of keys: who may read them, what is wrong with them, and which key has which role."""

import re
import stat
from pathlib import Path

import pytest
import zmq

from hardware_bridge.keys import BadKeys, authorised, make, read_client, read_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "keys", "agent", "operator")
    make(tmp_path / "keys", "visitor", "observer")
    return tmp_path / "keys"


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_was_made_is_read_back_and_is_a_pair(folder: Path) -> None:
    server, agent, visitor = read_server(folder), read_client(folder / "agent.key"), read_client(folder / "visitor.key")
    assert server.roles == {agent.public: "operator", visitor.public: "observer"}
    assert agent.server == visitor.server == server.public
    for pair in (server, agent, visitor):
        assert zmq.curve_public(pair.secret.encode()).decode() == pair.public
        assert pair.secret not in repr(pair)
    assert len({server.secret, agent.secret, visitor.secret}) == 3


def test_nobody_else_may_read_a_file_of_keys(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == [
        "agent.key", "authorised.toml", "server.key", "visitor.key"
    ]  # fmt: skip


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_secret_that_others_could_read_is_refused(folder: Path, mode: int) -> None:
    for name in ("agent.key", "server.key"):
        (folder / name).chmod(mode)
    with pytest.raises(BadKeys, match=rf"agent\.key.*others may read it \(mode {mode:o}\): chmod 600"):
        read_client(folder / "agent.key")
    with pytest.raises(BadKeys, match=r"server\.key.*others may read it"):
        read_server(folder)


def test_public_keys_may_be_read_and_not_changed_by_others(folder: Path) -> None:
    (folder / "authorised.toml").chmod(0o644)
    read_server(folder)
    (folder / "authorised.toml").chmod(0o664)
    with pytest.raises(BadKeys, match="others may change it"):
        read_server(folder)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('role = "operator"', 'role = "admin"', "admin"),
        ('role = "operator"', 'rule = "operator"', "unknown field `rule`"),
        ('role = "operator"\n', "", "missing required field `role`"),
        ('name = "agent"', 'name = "a/b"', r"keys\[0\]\.name: 'a/b' is no name"),
        ('name = "agent"', 'name = "visitor"', r"keys\[1\]: visitor has the name or the public key of visitor"),
        ('public = "', 'public = "x', r"keys\[0\]\.public: is no key"),
        ("[[keys]]", "[[keys", "Expected"),
        ('name = "agent"', 'name = "agent\\udc80"', "authorised"),
    ],
)
def test_a_bad_file_of_authorised_keys_is_told(folder: Path, old: str, new: str, told: str) -> None:
    spoil(folder / "authorised.toml", old, new)
    with pytest.raises(BadKeys, match=told) as caught:
        authorised(folder)
    assert str(folder / "authorised.toml") in str(caught.value)


@pytest.mark.parametrize("text", ["", "secret = 3", "\0", "[" * 5000, "é"])
def test_a_bad_file_of_a_client_is_told(folder: Path, text: str) -> None:
    (folder / "agent.key").write_text(text, encoding="latin-1")
    with pytest.raises(BadKeys, match=r"agent\.key"):
        read_client(folder / "agent.key")


def test_halves_of_two_pairs_are_told_and_no_secret_is_said(folder: Path) -> None:
    other = read_client(folder / "visitor.key")
    agent = read_client(folder / "agent.key")
    spoil(folder / "agent.key", agent.public, other.public)
    with pytest.raises(BadKeys, match="not a pair") as caught:
        read_client(folder / "agent.key")
    assert agent.secret not in str(caught.value)
    spoil(folder / "visitor.key", other.server, "#" * 40)
    with pytest.raises(BadKeys, match="server: is no key"):
        read_client(folder / "visitor.key")


def test_missing_files_are_told(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none.key", tmp_path):
        with pytest.raises(BadKeys, match=re.escape(f"{str(path)!r}: cannot be read")):
            read_client(path)
    with pytest.raises(BadKeys, match=r"server\.key'?: cannot be read: No such file"):
        read_server(tmp_path)
    (folder / "authorised.toml").write_text("")
    with pytest.raises(BadKeys, match="no client is authorised"):
        read_server(folder)


@pytest.mark.parametrize("name", ["server", "../agent", "", "a b", ".", "a\n", "x" * 65])
def test_names_that_would_be_no_file_or_another(folder: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"^name = "):
        make(folder, name, "observer")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_keys_that_are_there_are_never_overwritten(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="'agent': is authorised already"):
        make(folder, "agent", "observer")
    (folder / "guest.key").write_text("mine")
    with pytest.raises(FileExistsError):
        make(folder, "guest", "observer")
    assert (folder / "guest.key").read_text() == "mine"
    assert {path: path.read_bytes() for path in before} == before

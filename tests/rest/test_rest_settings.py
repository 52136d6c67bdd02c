"""The table of settings: names, types, secrets in files, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from icops_fhir.settings import VARIABLES, Settings, SettingsError, read, refuse_unsafe, table


def test_every_setting_has_a_variable_a_help_in_two_languages_and_a_row() -> None:
    for language in ("en", "fr"):
        assert all(f"`{name}`" in table(language) for name in VARIABLES)
    for name, item in VARIABLES.items():
        assert name == f"ICOPS_{item.name.upper()}"
        assert item.metadata["en"]
        assert item.metadata["fr"]


def test_values_are_read_by_the_type_of_their_default() -> None:
    found = read({"ICOPS_PORT": "9000", "ICOPS_PEER_SECONDS": "2.5", "ICOPS_MLLP_PEERS": "10.0.0.0/8, 192.168.1.4", "ICOPS_TOKEN": "", "OTHER": "x"}, host="::1", port=None)

    assert found == Settings(port=9000, peer_seconds=2.5, mllp_peers=("10.0.0.0/8", "192.168.1.4"), host="::1")


def test_a_secret_comes_from_a_file_and_a_wrong_value_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    assert read({"ICOPS_TOKEN_FILE": str(tmp_path / "token")}).token == "s3cret"
    with pytest.raises(SettingsError, match="ICOPS_TOKEN_FILE"):
        read({"ICOPS_TOKEN_FILE": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="ICOPS_PORT"):
        read({"ICOPS_PORT": "http"})
    for wrong in ({"port": 65536}, {"port": -1}, {"mllp_port": 65536}, {"mllp_port": -2}):
        with pytest.raises(SettingsError, match="PORT"):
            read({}, **wrong)


def test_outside_loopback_a_token_and_peers_or_certificates_are_asked() -> None:
    open_ = {"mllp_host": "10.0.0.4"}
    for settings in (
        Settings(), Settings(host="localhost"), Settings(host="127.1.2.3", mllp_host="::1"), Settings(host="0.0.0.0", token="x"),
        Settings(**open_, mllp_peers=("10.0.0.0/8",)), Settings(**open_, mllp_certificate="c", mllp_clients="a"), Settings(**open_, mllp_port=-1),
    ):
        refuse_unsafe(settings)
    for settings in (Settings(host="0.0.0.0"), Settings(host="chu.example"), Settings(**open_), Settings(**open_, mllp_certificate="c")):
        with pytest.raises(SettingsError, match="open to the network"):
            refuse_unsafe(settings)

"""`icops-fhir dead-letters` on a database without a server, and on one whose server is elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from exchange.pam import adt
from icops_fhir.commands import dead_letters, load
from icops_fhir.exchange import message as application
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.store import engine


@pytest.fixture(autouse=True)
def logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands configure the logs of their process; here that process is the test run's."""
    monkeypatch.setattr(load.logs, "configure", lambda level: None)


def test_dead_letters_are_listed_with_their_reason_then_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    monkeypatch.setenv("ICOPS_DATABASE_URL", url)

    def broken(*_: object) -> str:
        raise KeyError("x")

    with monkeypatch.context() as patched:
        patched.setattr(application, "apply", broken)
        store = engine.open(url)
        asyncio.run(Inbound(store).process(adt("A28")))
        store.close()

    assert dead_letters.run(argparse.Namespace(action="list", keys=[])) == 0
    assert "ADT^A28" in capsys.readouterr().out
    assert dead_letters.run(argparse.Namespace(action="replay", keys=[])) == 0
    assert capsys.readouterr().out.startswith("AA")
    assert dead_letters.run(argparse.Namespace(action="replay", keys=["unknown"])) == 1
    assert dead_letters.run(argparse.Namespace(action="list", keys=[])) == 0


@pytest.mark.parametrize("command", [(dead_letters, {"action": "list", "keys": []}), (load, {"files": ["x.json"]})], ids=["dead-letters", "load"])
def test_a_server_that_is_not_where_the_settings_say_is_named_with_the_remedy(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text('{"resourceType": "Patient"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ICOPS_DATABASE_URL", f"sqlite:///{tmp_path / 'x.db'}")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        monkeypatch.setenv("ICOPS_PORT", str(closed.getsockname()[1]))
        store = engine.open(f"sqlite:///{tmp_path / 'x.db'}")
        module, arguments = command

        assert module.run(argparse.Namespace(**arguments)) == 1
        said = capsys.readouterr().err
        assert "ICOPS_PORT" in said
        assert "serveur en marche" in said
        store.close()

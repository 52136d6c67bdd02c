"""`icops-fhir dead-letters` on a database without a server."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from exchange.pam import adt
from icops_fhir.commands import dead_letters
from icops_fhir.exchange import message as application
from icops_fhir.exchange.inbound import Inbound
from icops_fhir.store import engine


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

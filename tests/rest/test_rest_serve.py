"""The real process: `serve` with its example, its refusals and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

SERVE = "import argparse, sys; from icops_fhir.commands.serve import run; sys.exit(run(argparse.Namespace(example=True, host=None, port={port}, mllp_port={mllp})))"
LOAD = "import argparse, sys; from icops_fhir.commands.load import run; sys.exit(run(argparse.Namespace(files=sys.argv[1:])))"
EXAMPLE = Path(__file__).parents[2] / "examples" / "pathway"


def start(database: Path, port: int = 0, mllp: int = 0, **environment: str) -> subprocess.Popen[str]:
    given = {**os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{database}", **environment}
    return subprocess.Popen([sys.executable, "-c", SERVE.format(port=port, mllp=mllp)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given)


@contextlib.contextmanager
def serving(database: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """(FHIR base, MLLP address) once it says so; ended by SIGTERM."""
    process = start(database, **environment)
    try:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "\n"))
        places = re.search(r"FHIR\s+(\S+)\n.*\nMLLP\s+(\S+)", said)
        assert places, said + process.communicate(timeout=10)[1]
        yield places[1], places[2]
    finally:
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        process.communicate(timeout=30)

        assert process.returncode == 0
        assert time.monotonic() - begin < 10


def counts(base: str) -> dict[str, int]:
    return {type_: httpx.get(f"{base}/{type_}?_summary=count").json()["total"] for type_ in ("CarePlan", "CareTeam", "Task", "Patient", "PlanDefinition")}


def test_the_example_is_there_when_the_port_opens_and_loading_it_again_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "a.db") as (base, mllp):
        first = counts(base)
        history = httpx.get(f"{base}/_history?_count=1").json()["entry"][0]["resource"]["id"]
        host, _, port = mllp.rpartition(":")
        with socket.create_connection((host, int(port)), 5) as peer:
            peer.sendall(b"\x0b" + (EXAMPLE / "s1-1-a04-urgences.hl7").read_bytes().replace(b"\n", b"\r") + b"\x1c\r")
            acknowledgment = peer.recv(65536)
        second = start(tmp_path / "a.db")
        _, error = second.communicate(timeout=30)
        loaded = subprocess.run([sys.executable, "-c", LOAD, str(EXAMPLE / "pathway.json")], capture_output=True, text=True, check=False, timeout=60, env={
            **os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{tmp_path}/a.db", "ICOPS_PORT": base.rpartition(":")[2].partition("/")[0]})

        assert first["CarePlan"] == first["CareTeam"] == 1
        assert first["Task"] > 0
        assert b"MSA|AA|" in acknowledgment
        assert second.returncode == 1
        assert "in use by another server" in error
        assert "Traceback" not in error
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        after_message = counts(base)
    with serving(tmp_path / "a.db") as (base, _):
        assert counts(base) == after_message
        assert httpx.get(f"{base}/_history?_count=200").text.count(history) >= 1


def test_what_is_under_way_at_sigterm_is_finished_and_who_never_ends_is_cut_off(tmp_path: Path) -> None:
    head = b"POST /fhir/Patient HTTP/1.1\r\nhost: a\r\ncontent-type: application/fhir+json\r\ncontent-length: 26\r\n\r\n"
    with contextlib.ExitStack() as stack:
        with serving(tmp_path / "f.db", ICOPS_DRAIN_SECONDS="2") as (base, _):
            at = ("127.0.0.1", int(base.rpartition(":")[2].partition("/")[0]))
            slow, never = (stack.enter_context(socket.create_connection(at, 10)) for _ in range(2))
            for peer in (slow, never):
                peer.sendall(head + b'{"resourceType"')
            time.sleep(0.3)
            threading.Timer(0.7, slow.sendall, (b':"Patient"}',)).start()

        assert slow.recv(65536).startswith(b"HTTP/1.1 201")
        with contextlib.suppress(OSError):
            assert b"201" not in never.recv(65536)


def test_it_refuses_to_be_open_to_the_network_without_a_token_or_peers(tmp_path: Path) -> None:
    wrong = {"ICOPS_TOKEN": ("ICOPS_HOST", "0.0.0.0"), "ICOPS_MLLP_PEERS": ("ICOPS_MLLP_HOST", "0.0.0.0"), "ICOPS_PORT": ("ICOPS_PORT", "x")}
    processes = {said: start(tmp_path / "b.db", **dict([pair])) for said, pair in wrong.items()}
    for said, process in processes.items():
        _, error = process.communicate(timeout=30)

        assert process.returncode == 1
        assert said in error
        assert "Traceback" not in error


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        http, mllp = start(tmp_path / "c.db", port=port), start(tmp_path / "d.db", mllp=port)

        assert "--port" in http.communicate(timeout=30)[1]
        assert "--mllp-port" in mllp.communicate(timeout=30)[1]
        assert (http.returncode, mllp.returncode) == (1, 1)


def test_load_without_a_server_writes_under_the_lock(tmp_path: Path) -> None:
    run = [sys.executable, "-c", LOAD, str(EXAMPLE)]
    environment = {**os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{tmp_path}/e.db"}
    first = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60, env=environment)
    (tmp_path / "wrong.json").write_text('{"resourceType": "Patient", "foo": 1}')
    again = subprocess.run([*run, str(tmp_path / "wrong.json")], capture_output=True, text=True, check=False, timeout=60, env=environment)
    said = [line.split()[0] for line in again.stdout.splitlines()]

    assert first.returncode == 0, first.stdout + first.stderr
    assert (again.returncode, said) == (1, ["200", "422"])

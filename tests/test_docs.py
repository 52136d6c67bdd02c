"""What the documentation names exists: files, commands, options, addresses, variables; the reference is the program's."""

import argparse
import asyncio
import json
import re
import runpy
import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from icops_fhir.app import build
from icops_fhir.cli import _parser as parser
from icops_fhir.exchange import sites
from icops_fhir.exchange.route import Route, routes
from icops_fhir.fhir.packages import definitions
from icops_fhir.mappers.v2.site import Site
from icops_fhir.settings import VARIABLES, Settings, read
from icops_fhir.store import engine

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")))
ELSEWHERE = {"ICOPS_CORPUS", "ICOPS_LAWS", "ICOPS_R4_PACKAGE", "ICOPS_X"}
"""Variables read outside the service: by the tests and by the build hook; ICOPS_X stands for any."""

pytestmark = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="not in a checkout")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def commands(page: Path) -> list[list[str]]:
    """The words of every command of a page's ```sh blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    found: list[list[str]] = []
    for line in (line for block in blocks for line in block.replace("\\\n", " ").splitlines()):
        words = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
        words.whitespace_split = True
        found.append([])
        for word in words:
            if word in ("|", "&&", ";", ">"):
                found.append([])
            else:
                found[-1].append(word)
    return [words for words in found if words]


def _used(program: str) -> list[tuple[str, list[str]]]:
    return [(_name(page), words) for page in PAGES for words in commands(page) if words and Path(words[0]).name == program]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in local if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_path_in_backticks_exists(page: Path) -> None:
    named = re.findall(r"`((?:src|docs|tests|examples|profiles|docker)/[\w./-]+)`", page.read_text("utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_variable_is_a_setting(page: Path) -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"\bICOPS_[A-Z0-9_]*[A-Z0-9]\b", page.read_text("utf-8"))}

    assert named - set(VARIABLES) - ELSEWHERE == set()


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z]+)", page.read_text("utf-8"))}
    named |= {words[1] for _, words in _used("make")}

    assert named <= targets


def _accepts(one: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """The options among these words that the parser of this command does not have."""
    options = {option for action in one._actions for option in action.option_strings}
    groups = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    if groups and words and not words[0].startswith("-"):
        return _accepts(groups[0].choices[words[0]], words[1:]) if words[0] in groups[0].choices else [words[0]]
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]


def test_every_command_and_option_named_is_there() -> None:
    used = _used("icops-fhir") + [(_name(page), line.split()[1:]) for page in PAGES for line in re.findall(r"`(?:icops-fhir|serve|convert|send) ?([^`]*)`", page.read_text("utf-8")) if line.startswith("icops-fhir ")]

    wrong = [(page, words, found) for page, words in used if (found := _accepts(parser(), words[1:]))]

    assert used
    assert wrong == []


def test_every_file_given_to_a_command_exists() -> None:
    files = [(_name(page), word.removeprefix("@")) for page in PAGES for words in commands(page) for word in words[1:] if re.match(r"@?(examples|docker|docs)/", word)]

    assert files
    assert [(page, path) for page, path in files if not (ROOT / path).exists()] == []


def _addresses() -> list[str]:
    whole = "\n".join(page.read_text("utf-8") for page in PAGES)
    return sorted(set(re.findall(r"127\.0\.0\.1:8080(/[^\s'\"|,`)]*)", whole)))


def test_every_fhir_address_names_a_type_and_parameters_that_exist() -> None:
    wrong = []
    for address in _addresses():
        parts = urlsplit(address)
        steps = parts.path.split("/")[1:]
        if steps[0] != "fhir" or len(steps) == 1 or steps[1] in ("metadata", ""):
            continue
        known = {item["code"] for item in definitions().search_parameters(steps[1])} | {"_sort", "_count", "_summary", "_id", "_lastUpdated"}
        if steps[1] not in definitions().types() or {name for name, _ in parse_qsl(parts.query)} - known:
            wrong.append(address)

    assert wrong == []


async def _answers() -> dict[str, httpx.Response]:
    """What a server that has loaded the example answers at each address."""
    store = engine.open("sqlite:///:memory:")
    try:
        transport = httpx.ASGITransport(app=build(Settings(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as web:
            bundle = (ROOT / "examples" / "pathway" / "pathway.json").read_bytes()
            assert (await web.post("/fhir", content=bundle, headers={"content-type": "application/fhir+json"})).status_code == 200
            return {address: await web.get(address) for address in _addresses()}
    finally:
        store.close()


def test_every_address_answers_and_shows_the_example() -> None:
    answers = asyncio.run(_answers())
    shown = {kind: [len(answer.json().get("entry", ())) for address, answer in answers.items() if address.startswith(f"/fhir/{kind}?")] for kind in ("CarePlan", "CareTeam", "Task")}

    assert {address: answer.status_code for address, answer in answers.items() if answer.status_code not in (200, 405)} == {}
    assert all(max(counts) > 0 for counts in shown.values())


def test_the_reference_is_what_the_program_says() -> None:
    builder = runpy.run_path(str(ROOT / "docs" / "build.py"))
    expected = {name: builder["NOTE"] + "\n" + page() for name, page in builder["PAGES"].items()}

    actual = {name: (ROOT / "docs" / "reference" / name).read_text("utf-8") for name in expected}

    assert expected == actual, "python docs/build.py"


def test_the_first_table_of_settings_says_the_true_defaults() -> None:
    defaults = read({})
    rows = re.findall(r"^\| (`ICOPS_[^|]*) \| ([^|]*) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)

    for names, values in rows:
        for name, value in zip(re.findall(r"`(\w+)`", names), re.findall(r"`([^`]*)`", values), strict=False):
            assert str(getattr(defaults, name.removeprefix("ICOPS_").lower())) == value


def test_the_example_of_sites_and_routes_is_understood() -> None:
    data = (ROOT / "examples" / "sites.json").read_bytes()
    found, ways = sites.load(data), routes(json.loads(data)["routes"])
    pages = (ROOT / "docs" / "how-to" / "connect-a-hospital-feed.md", ROOT / "docs" / "how-to" / "send-back-to-the-hospital.md")
    named = {name for page in pages for name in re.findall(r"`([a-z_]+)`", page.read_text("utf-8"))}

    assert {"GAM^CHU-LYS", "CH-MONTVERT", "*"} == set(found)
    assert [(way.name, way.movements) for way in ways] == [("chu-lys", False)]
    assert named - {"routes", "false"} <= {field.name for kind in (Site, Route) for field in fields(kind)}


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text("utf-8")

    assert [path.name for path in sorted(folder.glob("0*.md")) if path.name not in listed] == []


def _pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE))


def test_the_image_runs_the_versions_that_are_tested() -> None:
    tested, run = _pins(ROOT / "requirements.lock"), _pins(ROOT / "docker" / "requirements.lock")

    assert run
    assert {name: version for name, version in run.items() if tested.get(name) != version} == {}


def test_the_image_has_no_rights_and_says_whether_it_is_well() -> None:
    image = (ROOT / "docker" / "Dockerfile").read_text()

    assert re.search(r"^USER (?!root)\w+", image, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/livez", image, re.MULTILINE)
    assert set(re.findall(r"\bICOPS_[A-Z_]+[A-Z]\b", image + (ROOT / "docker" / "compose.yaml").read_text())) <= set(VARIABLES)

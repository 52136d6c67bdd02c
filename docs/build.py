"""Write docs/reference again, from the tables the program itself runs on: python docs/build.py"""

import argparse
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/build.py: do not edit. -->\n"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def settings() -> str:
    """Every ICOPS_ variable."""
    from icops_fhir.settings import table

    text = "Read once at start. `ICOPS_X_FILE` names a file that holds the value of a secret `ICOPS_X`; lists are separated by commas; an option of the command line wins over its variable."
    return f"# Settings\n\n{text}\n\n{table('en')}\n\n## Réglages\n\n{table('fr')}\n"


def command_line() -> str:
    """Every command and option, from the parser."""
    from icops_fhir.cli import _parser as parser

    def pages(one: argparse.ArgumentParser, depth: int) -> Iterator[str]:
        yield f"{'#' * depth} {one.prog}\n"
        if one.description:
            yield f"{one.description}\n"
        children: list[argparse.ArgumentParser] = []
        rows = []
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                children = list(dict.fromkeys(action.choices.values()))
            elif not isinstance(action, argparse._HelpAction):
                name = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest.upper()}`"
                choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
                cells = (name, f"{action.help or ''}{choices}".strip())
                rows.append("| " + " | ".join(cell.replace("%%", "%").replace("|", "\\|") for cell in cells) + " |")
        if rows:
            yield "| | |\n|---|---|\n" + "\n".join(rows) + "\n"
        for child in children:
            yield from pages(child, min(depth + 1, 4))

    return "\n".join(pages(parser(), 1))


def operations() -> str:
    """Every $operation, from the registry."""
    from icops_fhir.operations.registry import operations as every

    head = "# Operations\n\n| Operation | Address | Methods | |\n|---|---|---|---|\n"
    address = {"system": "/fhir/${name}", "type": "/fhir/{type}/${name}", "instance": "/fhir/{type}/{{id}}/${name}"}
    rows = [f"| `${one.name}` | `{address[one.level].format(name=one.name, type=one.type)}` | {', '.join(sorted(one.methods))} | {_first_line(one.handler)} |" for one in every()]
    return head + "\n".join(rows) + "\n"


def _kind(table: Any, alias: str) -> str:
    """The resource type, or the list of one, that a table calls `alias`."""
    found = table.aliases.get(alias)
    if found is None:
        return alias
    return f"{_kind(table, found.type)}.{found.member}[]" if found.member else str(found.type)


def hl7v2() -> str:
    """Every row of every segment table, from the registry."""
    from icops_fhir.mappers.registry import every

    pages = [
        "# HL7 v2 to FHIR and back, field by field\n\n"
        "Each row is read in both directions by the same code. What no row reads is carried and goes back as it came "
        "([decision 3](../decisions/0003-one-table-both-directions.md)); `icops-fhir explain FILE` says it for one message, leaf by leaf.\n"
    ]
    for table in every():
        about = _first_line(import_module(f"icops_fhir.mappers.v2.segments.{table.name.lower()}"))
        pages.append(f"## {table.name}\n\n{about}\n\n| Field | FHIR |\n|---|---|")
        for row in sorted(table.rows, key=lambda row: row.at):
            kind = _kind(table, row.alias)
            role = "" if kind == row.alias or "." in kind else f" ({row.alias})"
            place = f"{kind}.{row.to.text}" if row.to.text else kind
            which = {"first": " (first repetition)", "rest": " (other repetitions)"}.get(row.which, "") if row.many else ""
            pages.append(f"| {', '.join(f'{table.name}-{at}' for at in row.at)}{which} | `{place}{'[]' if row.many else ''}`{role} |")
        pages.append("")
    return "\n".join(pages)


PAGES: dict[str, Callable[[], str]] = {"settings.md": settings, "command-line.md": command_line, "operations.md": operations, "hl7v2.md": hl7v2}


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(NOTE + "\n" + page(), "utf-8")


if __name__ == "__main__":
    main()

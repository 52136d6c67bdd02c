"""The `icops-fhir` command. Heavy imports live inside the commands, so that `--help` stays cheap."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module


def _later(module: str, function: str = "run") -> Callable[[argparse.Namespace], int]:
    """A command whose module is imported when it runs."""

    def run(args: argparse.Namespace) -> int:
        return int(getattr(import_module(f"icops_fhir.{module}"), function)(args))

    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="icops-fhir",
        description="HL7 v2 and FHIR, both ways, for the coordination of care pathways. / HL7 v2 et FHIR, dans les deux sens.",
        epilog="ICOPS_* variables set everything; see the README. / Les variables ICOPS_* règlent tout ; voir le README.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service: FHIR over HTTP, HL7 v2 over MLLP")
    serve.add_argument("--example", action="store_true", help="load the example pathway first (again changes nothing)")
    serve.add_argument("--host", help="address of the HTTP server (ICOPS_HOST)")
    serve.add_argument("--port", type=int, help="port of the HTTP server (ICOPS_PORT; 0: any free one)")
    serve.add_argument("--mllp-port", dest="mllp_port", type=int, help="port of the MLLP server (ICOPS_MLLP_PORT; 0: any free one, -1: none)")
    serve.set_defaults(run=_later("commands.serve"))

    convert = commands.add_parser("convert", help="translate files: HL7 v2 to FHIR and back")
    convert.add_argument("--from", dest="source", choices=("hl7v2", "fhir"), required=True)
    convert.add_argument("--to", dest="target", choices=("hl7v2", "fhir"), required=True)
    convert.add_argument("--stdio", action="store_true", help='JSON lines {"id", "content": base64} in, the same or {"id", "error"} out')
    convert.add_argument("--out", help="a folder for the results (default: standard output)")
    convert.add_argument("files", nargs="*", metavar="FILE", help="files, or - for standard input")
    convert.set_defaults(run=_later("commands.convert"))

    explain = commands.add_parser("explain", help="say of each leaf of a message where it goes in FHIR, or that it is carried")
    explain.add_argument("--values", action="store_true", help="print the values too (health data)")
    explain.add_argument("--names", action="store_true", help="print the standard's names of the fields")
    explain.add_argument("--json", action="store_true", help="one JSON object a file")
    explain.add_argument("files", nargs="+", metavar="FILE", help="files, or - for standard input")
    explain.set_defaults(run=_later("commands.explain"))

    send = commands.add_parser("send", help="send messages over MLLP and print the acknowledgments")
    send.add_argument("address", metavar="HOST:PORT")
    send.add_argument("paths", nargs="+", metavar="FILE|DIR")
    send.add_argument("--json", action="store_true", help="one JSON object a message")
    send.add_argument("--connections", type=int, default=1, help="connections at one time (more than 1: order is not kept)")
    send.add_argument("--rate", type=float, default=0.0, help="messages a second (0: as fast as they are answered)")
    send.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for an acknowledgment")
    send.add_argument("--type", default="", help="only the messages whose type matches: '^ADT'")
    send.add_argument("--authorities", help="PEM file of the authorities, for TLS")
    send.set_defaults(run=_later("mllp.send"))

    letters = commands.add_parser("dead-letters", help="the messages that could not be applied")
    actions = letters.add_subparsers(dest="action", required=True, metavar="list|replay")
    actions.add_parser("list", help="list them with their reasons")
    replay = actions.add_parser("replay", help="try them again after a fix")
    replay.add_argument("keys", nargs="*", metavar="KEY", help="which ones (default: all)")
    letters.set_defaults(run=_later("commands.dead_letters"))

    load = commands.add_parser("load", help="load FHIR resources and Bundles, into the running server or its database")
    load.add_argument("files", nargs="+", metavar="FILE|DIR")
    load.set_defaults(run=_later("commands.load"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 done, 1 refused content, 2 usage or unreadable."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

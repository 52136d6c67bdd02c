"""The `icops-fhir` command. Heavy imports live inside the commands, so that `--help` stays cheap."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def _convert(args: argparse.Namespace) -> int:
    from icops_fhir.commands import convert

    return convert.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="icops-fhir", description="HL7 v2 and FHIR for the coordination of care pathways.")
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="translate files: HL7 v2 to FHIR and back")
    convert.add_argument("--from", dest="source", choices=("hl7v2", "fhir"), required=True)
    convert.add_argument("--to", dest="target", choices=("hl7v2", "fhir"), required=True)
    convert.add_argument("--stdio", action="store_true", help='JSON lines {"id", "content": base64} in, the same or {"id", "error"} out')
    convert.add_argument("--out", help="a folder for the results (default: standard output)")
    convert.add_argument("files", nargs="*", help="files, or - for standard input")
    convert.set_defaults(run=_convert)
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

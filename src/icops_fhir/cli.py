"""The `icops-fhir` command. Heavy imports live inside the commands, so that `--help` stays cheap."""

from __future__ import annotations


def main() -> int:
    """Entry point."""
    return 0

"""`icops-fhir serve [--example --host --port --mllp-port]`: the whole service, until SIGTERM.

The addresses and three things to try are printed once the port is open; what keeps it from starting is said plainly.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace

from icops_fhir.app import PREFIX, Application, build, host
from icops_fhir.fhir.issue import FhirError
from icops_fhir.rest import logs, server
from icops_fhir.settings import SettingsError, read, refuse_unsafe


def run(args: argparse.Namespace) -> int:
    """0 after an orderly end, 1 when it could not start."""
    try:
        settings = read(os.environ, **{name: getattr(args, name, None) for name in ("host", "port", "mllp_port")})
        refuse_unsafe(settings)
        listener = server.bind(settings.host, settings.port)
    except SettingsError as error:
        return _cannot(str(error))
    except OSError as error:
        return _cannot(f"{settings.host}:{settings.port}: {error.strerror}. Choose another with --port. / Choisissez-en un autre avec --port.")
    logs.configure(settings.log_level)
    app = build(replace(settings, port=listener.getsockname()[1]))
    app.example = bool(getattr(args, "example", False))
    started = server.run(app, listener, drain_seconds=settings.drain_seconds, opened=lambda: _say(app))
    if app.refused is not None:
        return _cannot(_both(app.refused))
    return 0 if started else 1


def _say(app: Application) -> None:
    """The addresses, and three things to try."""
    web = f"http://{host(app.settings)}:{app.settings.port}"
    mllp_place = "{}:{}".format(*app.mllp_address) if app.mllp_address else ""
    print(f"FHIR   {web}{PREFIX}\nDocs   {web}/docs" + (f"\nMLLP   {mllp_place}" if mllp_place else ""), flush=True)
    print(
        f"\nTry / Essayez :\n"
        f"  curl {web}{PREFIX}/metadata                    # what this server can do / ce que sait faire ce serveur\n"
        f"  curl '{web}{PREFIX}/CarePlan?status=active'    # the active care plans / les parcours en cours\n"
        f"  {sys.argv[0]} send {mllp_place or 'HOST:PORT'} examples/pathway   # a hospital stay / un séjour à l'hôpital\n", flush=True)


def _both(error: FhirError | SettingsError) -> str:
    return "\n".join(f"{issue.diagnostics} / {issue.french}" for issue in error.issues) if isinstance(error, FhirError) else str(error)


def _cannot(text: str) -> int:
    print(text, file=sys.stderr)
    return 1

"""What went wrong as an HTTP answer: always an OperationOutcome, never a bare status.

https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

import traceback

import structlog

from icops_fhir.fhir.issue import FhirError, Issue, outcome
from icops_fhir.fhir.json import dumps
from icops_fhir.interactions.request import Answer

log = structlog.get_logger("icops.rest")


def answer(error: FhirError, language: str = "en") -> Answer:
    """The refusal as an answer."""
    return Answer(status=error.status, body=dumps(outcome(error.issues, language)), issues=tuple(error.issues))


def unforeseen(error: BaseException, request_id: str) -> FhirError:
    """A fault of ours: 500, the request id to quote, and a log line with the place but no content of any resource."""
    frames = [f"{frame.filename.rpartition('icops_fhir/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("unforeseen", error=type(error).__name__, at=frames[-6:], request_id=request_id)
    return FhirError(
        Issue("fatal", "exception", f"The server failed; nothing was written. Quote the request id {request_id} to its operator.",
              rule="icops-internal", french=f"Le serveur a échoué ; rien n'a été écrit. Citez la requête {request_id} à son exploitant."),
        status=500)


def refused(status: int, code: str, rule: str, english: str, french: str) -> FhirError:
    """One issue, one status."""
    return FhirError(Issue("error", code, english, rule=rule, french=french), status=status)

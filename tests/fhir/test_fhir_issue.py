"""An error is a FHIR issue. https://hl7.org/fhir/R4/operationoutcome.html"""

import pickle

from icops_fhir.fhir.issue import FhirError, Issue, outcome, worst

GONE = Issue("error", "deleted", "Patient/1 was deleted.", ("Patient",), ("line 1",), "icops-gone", "Patient/1 a été supprimé.")


def test_an_outcome_says_each_issue_in_the_language_asked_for_and_keeps_its_rule():
    expected = {
        "resourceType": "OperationOutcome",
        "issue": [{
            "severity": "error", "code": "deleted",
            "details": {"coding": [{"system": "urn:icops-fhir:rules", "code": "icops-gone"}], "text": "Patient/1 a été supprimé."},
            "diagnostics": "Patient/1 was deleted.", "location": ["line 1"], "expression": ["Patient"],
        }],
    }  # fmt: skip

    assert expected == outcome([GONE], "fr-FR")
    assert outcome([GONE], "de")["issue"][0]["details"]["text"] == "Patient/1 was deleted."


def test_an_outcome_without_issues_is_still_an_outcome():
    assert [issue["severity"] for issue in outcome([])["issue"]] == ["information"]


def test_an_error_carries_its_issues_its_status_and_its_acknowledgment():
    error = FhirError(GONE, status=410, ack="AR")

    assert (error.issues, error.status, error.ack, str(error)) == ((GONE,), 410, "AR", "Patient/1 was deleted.")
    assert error.issues == pickle.loads(pickle.dumps(error)).issues


def test_the_worst_of_several_issues_is_found():
    assert worst([Issue("warning", "value", ""), GONE]) == "error"
    assert worst([]) is None

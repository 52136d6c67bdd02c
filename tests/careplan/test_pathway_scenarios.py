"""S1, S2 and S3 of the domain guide, their ADT parts, on the example pathway."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icops_fhir.careplan import communication as c
from icops_fhir.careplan import event as e
from icops_fhir.careplan.pathway import react

from .world import (
    NOW,
    STAY,
    after,
    amended,
    arrive,
    cancelled,
    event,
    example,
    homes,
    made,
    opened,
    recipients,
    with_status,
)  # fmt: skip

EMERGENCY = event(e.ADMISSION, "M1", 2, trigger="A04", patient_class="E")
ADMISSION = event(e.ADMISSION, "M2", 2, trigger="A06", at="2026-09-02T11:00:00+02:00")
ANNOUNCED = event(e.ANNOUNCED_DISCHARGE, "M3", 7, trigger="A16", planned="2026-09-09T11:00:00+02:00")
DISCHARGE = event(e.DISCHARGE, "M4", 9, trigger="A03", discharge_mode="8", destination="9")
CANCELLED = cancelled(DISCHARGE, 9, "A13")
SECOND = event(e.DISCHARGE, "M5", 11, trigger="A03", discharge_mode="8", destination="9")
RETURN = {
    "Appeler la personne à son retour", "Vérifier la réception de la lettre de liaison",
    "Consultation du médecin traitant après hospitalisation", "Premier passage infirmier après le retour",
    "Conciliation des traitements de sortie", "Surveillance du poids et des signes d'alerte",
    "Bilan biologique : ionogramme, créatinine", "Consultation du cardiologue",
}  # fmt: skip


def test_an_unexpected_admission_tells_three_people_once_and_suspends_home_tasks():
    before = example()
    now = arrive(before, EMERGENCY, ADMISSION)

    assert len(now.communications) == 3
    assert {n["status"] for n in now.communications} == {"preparation"}
    assert [t["status"] for t in homes(now)] == ["on-hold"] * 4
    assert all(t["reasonReference"]["reference"] == STAY for t in homes(now))
    assert [t["description"] for t in now.tasks if "groupIdentifier" in t] == ["Transmettre au service la synthèse et le traitement habituel"]
    assert [t for t in now.tasks if t["description"].startswith("Renouveler")] == [t for t in before.tasks if t["description"].startswith("Renouveler")]


def test_the_return_home_gives_home_tasks_the_status_they_had():
    before = example()
    now = arrive(before, EMERGENCY, ADMISSION, DISCHARGE)

    assert homes(now) == homes(before)


def test_an_emergency_visit_that_ends_makes_no_return_task():
    before = example()
    end = event(e.DISCHARGE, "M2", 2, patient_class="E", discharge_mode="8", at="2026-09-02T20:00:00+02:00")
    now = arrive(before, EMERGENCY, end)

    assert homes(now) == homes(before)
    assert opened(now) == {"Transmettre au service la synthèse et le traitement habituel"}
    assert len(now.communications) == 3


@pytest.mark.parametrize("patient_class", ["O", "R", "V"])
def test_a_discharge_that_ends_no_hospital_stay_only_closes_the_venue(patient_class):
    assert react(replace(DISCHARGE, patient_class=patient_class), example(), NOW) == []


def test_an_announced_discharge_makes_the_return_be_prepared_the_day_before():
    now = arrive(example(), ADMISSION, ANNOUNCED)
    task = next(t for t in now.tasks if t["description"] == "Préparer le retour")

    assert task["restriction"] == {"period": {"end": "2026-09-08T11:00:00+02:00"}}
    assert task["basedOn"] == [{"reference": f"CarePlan/{now.care_plans[0]['id']}"}]
    assert task["encounter"] == {"reference": STAY}
    assert {"reference": {"reference": f"Task/{task['id']}"}} in now.care_plans[0]["activity"]
    assert task["owner"]["display"] == "Claire OLIVIER"


def test_a_discharge_home_makes_one_task_per_follow_up_with_its_owner_and_date():
    now = arrive(example(), ADMISSION, ANNOUNCED, DISCHARGE)
    tasks = {t["description"]: t for t in now.tasks if t["description"] in RETURN}

    assert set(tasks) == RETURN
    assert tasks["Consultation du médecin traitant après hospitalisation"]["owner"]["display"] == "Dr Lucie BERNARD"
    assert tasks["Consultation du médecin traitant après hospitalisation"]["restriction"]["period"]["end"] == "2026-09-16T10:00:00+02:00"
    assert tasks["Consultation du cardiologue"]["owner"]["display"] == "Claire OLIVIER"  # nobody holds the role


def test_a_discharge_that_never_happened_is_taken_back_whole():
    was = arrive(example(), ADMISSION, ANNOUNCED, DISCHARGE)
    told = [n for n in was.communications if "Sortie d'hospitalisation le 9" in n["payload"][0]["contentString"]]
    now = arrive(was, CANCELLED)
    counters = [n for n in now.communications if c.COUNTER in c.codes(n)]

    assert {made(now)[title] for title in RETURN} == {"cancelled"}
    assert recipients(counters) == recipients(told)
    assert len(told) == 4
    assert [t["status"] for t in homes(now)] == ["on-hold"] * 4
    assert made(now)["Préparer le retour"] == "requested"  # the announcement itself was not cancelled


def test_what_was_taken_is_cancelled_with_a_word_to_its_owner_and_what_was_done_stays():
    was = arrive(example(), ADMISSION, DISCHARGE)
    was = with_status(was, "Premier passage infirmier après le retour", "accepted")
    was = with_status(was, "Appeler la personne à son retour", "in-progress")
    was = with_status(was, "Vérifier la réception de la lettre de liaison", "completed")
    now = arrive(was, CANCELLED)
    words = [n for n in now.communications if "task-cancelled" in c.codes(n)]

    assert made(now)["Premier passage infirmier après le retour"] == "cancelled"
    assert made(now)["Appeler la personne à son retour"] == "cancelled"
    assert made(now)["Vérifier la réception de la lettre de liaison"] == "completed"
    assert sorted(n["recipient"][0]["display"] for n in words) == ["Claire OLIVIER", "Nadia MARCHAND"]


def test_a_second_discharge_makes_new_tasks_and_replaying_everything_changes_nothing():
    story = (EMERGENCY, ADMISSION, ANNOUNCED, DISCHARGE, CANCELLED, SECOND)
    now = arrive(example(), *story)

    assert opened(now) >= RETURN
    assert len([t for t in now.tasks if t["description"] in RETURN]) == 2 * len(RETURN)
    assert {str(one): react(one, now, NOW) for one in story} == {str(one): [] for one in story}


def test_a_corrected_date_moves_untouched_tasks_and_makes_no_second_set():
    was = with_status(arrive(example(), ADMISSION, DISCHARGE), "Premier passage infirmier après le retour", "accepted")
    now = arrive(was, amended(DISCHARGE, 10, at="2026-09-12T10:00:00+02:00"))
    tasks = {t["description"]: t for t in now.tasks if t["description"] in RETURN}

    assert len(now.tasks) == len(was.tasks)
    assert tasks["Consultation du médecin traitant après hospitalisation"]["restriction"]["period"] == {
        "start": "2026-09-12T10:00:00+02:00", "end": "2026-09-19T10:00:00+02:00"}  # fmt: skip
    assert tasks["Premier passage infirmier après le retour"]["restriction"]["period"]["end"] == "2026-09-10T10:00:00+02:00"
    assert len([n for n in now.communications if "task-rescheduled" in c.codes(n)]) == 1
    assert recipients([n for n in now.communications if c.CORRECTION in c.codes(n)]) == recipients(
        [n for n in was.communications if "discharge" in c.codes(n)]
    )


def test_a_date_somebody_chose_by_hand_stays():
    was = arrive(example(), ADMISSION, DISCHARGE)
    chosen = next(t for t in was.tasks if t["description"] == "Consultation du cardiologue")
    was = was.put([{**chosen, "restriction": {"period": {"end": "2026-10-01"}}}])
    now = arrive(was, amended(DISCHARGE, 10, at="2026-09-12T10:00:00+02:00"))

    assert next(t for t in now.tasks if t["id"] == chosen["id"])["restriction"] == {"period": {"end": "2026-10-01"}}


@pytest.mark.parametrize(
    ("mode", "destination", "task", "home"),
    [
        ("8", "", "Appeler la personne à son retour", "in-progress"),
        ("8", "9", "Appeler la personne à son retour", "in-progress"),
        ("", "", "Appeler la personne à son retour", "in-progress"),
        ("8", "6", "Articuler les interventions avec l'équipe d'hospitalisation à domicile", "on-hold"),
        ("8", "7", "Transmettre la synthèse à l'établissement d'accueil", "on-hold"),
        ("7", "1", "Joindre le service d'accueil et transmettre le cercle de soins", "on-hold"),
        ("6", "2", "Joindre le service d'accueil et transmettre le cercle de soins", "on-hold"),
        ("4", "", "Joindre la personne et son aidant", "in-progress"),
    ],
)
def test_where_the_person_goes_chooses_the_tasks(mode, destination, task, home):
    now = arrive(example(), ADMISSION, replace(DISCHARGE, discharge_mode=mode, destination=destination))

    assert task in opened(now)
    assert homes(now)[0]["status"] == home
    assert ("Consultation du cardiologue" in opened(now)) == (home == "in-progress" and mode != "4")


def test_a_corrected_destination_exchanges_the_tasks_and_holds_home_again():
    was = arrive(example(), ADMISSION, DISCHARGE)
    now = arrive(was, amended(DISCHARGE, 10, destination="7"))

    assert opened(now) & RETURN == set()
    assert "Confirmer le lieu de vie et revoir le plan" in opened(now)
    assert homes(now)[0]["status"] == "on-hold"
    assert arrive(now, amended(DISCHARGE, 10, destination="7")) == now


def test_death_cancels_what_is_open_stops_messages_and_tells_only_the_coordinator():
    was = arrive(example(), ADMISSION, ANNOUNCED)
    was = was.put([{"resourceType": "CommunicationRequest", "id": "r", "status": "active", "subject": was.patient}])
    death = replace(DISCHARGE, discharge_mode="9", dead=True)
    now = arrive(was, death)
    told = [n for n in now.communications if "death" in c.codes(n)]

    assert [t["description"] for t in now.tasks if t["status"] in ("requested", "accepted", "in-progress", "on-hold")] == []
    assert len(now.tasks) == len(was.tasks)
    assert [n["recipient"][0]["display"] for n in told] == ["Claire OLIVIER"]
    assert {n["status"] for n in now.communications if n not in told} == {"stopped"}
    assert now.reminders[0]["status"] == "revoked"
    assert react(replace(death, kind=e.DEATH, movement="death/Patient/x^^"), now, NOW) == []


def test_after_a_death_nothing_is_made():
    gone = replace(example(), patient={**example().patient, "deceasedBoolean": True})

    assert [react(one, gone, NOW) for one in (EMERGENCY, ADMISSION, ANNOUNCED, DISCHARGE)] == [[], [], [], []]


def test_a_death_told_by_mistake_is_taken_back_from_the_coordinator():
    death = replace(DISCHARGE, discharge_mode="9", dead=True)
    now = arrive(example(), ADMISSION, death, cancelled(death, 10, "A13", dead=False))

    assert recipients([n for n in now.communications if c.COUNTER in c.codes(n)]) == recipients(
        [n for n in now.communications if "death" in c.codes(n)]
    )


def test_an_absence_holds_home_tasks_and_the_return_gives_them_back():
    before = example()
    leave = event(e.ABSENCE, "M6", 4)
    back = event(e.RETURN, "M7", 5)

    assert [t["status"] for t in homes(arrive(before, leave))] == ["on-hold"] * 4
    assert homes(arrive(before, leave, back)) == homes(before)
    assert homes(arrive(before, ADMISSION, leave, back)) == homes(arrive(before, ADMISSION))


def test_the_wrong_absence_or_return_is_undone():
    before = example()
    leave, back = event(e.ABSENCE, "M6", 4), event(e.RETURN, "M7", 5)

    assert homes(arrive(before, leave, cancelled(leave, 5, "A52"))) == homes(before)
    assert homes(arrive(before, leave, back, cancelled(back, 6, "A53"))) == homes(arrive(before, leave))


def test_a_planned_admission_is_prepared_and_leaves_home_tasks_alone():
    before = example()
    now = arrive(before, event(e.PLANNED_ADMISSION, "M0", 1, planned="2026-09-20"))

    assert opened(now) == {"Préparer l'hospitalisation programmée"}
    assert homes(now) == homes(before)
    assert next(t for t in now.tasks if "groupIdentifier" in t)["restriction"] == {"period": {"end": "2026-09-18"}}


def test_a_discharge_date_told_by_another_movement_announces_once_and_moves():
    told = replace(ADMISSION, planned="2026-09-08")
    moved = event(e.TRANSFER, "M8", 4, planned="2026-09-10")
    now = arrive(example(), told, moved)
    prepare = [t for t in now.tasks if t["description"] == "Préparer le retour"]

    assert [t["restriction"]["period"]["end"] for t in prepare] == ["2026-09-09"]
    assert arrive(now, event(e.TRANSFER, "M9", 5, planned="2026-09-10")).tasks != ()
    assert react(moved, now, NOW) == []


def test_a_withdrawn_discharge_date_takes_the_announcement_back():
    now = arrive(example(), replace(ADMISSION, planned="2026-09-08"), event(e.TRANSFER, "M8", 4, planned='""'))

    assert made(now)["Préparer le retour"] == "cancelled"


def test_a_cancelled_admission_takes_everything_of_its_venue_back():
    before = example()
    now = arrive(before, EMERGENCY, ADMISSION, ANNOUNCED, cancelled(EMERGENCY, 8, "A11", scope="venue"))

    assert opened(now) == set()
    assert homes(now) == homes(before)


def test_a_cancelled_dossier_takes_its_other_venues_too():
    other = replace(ANNOUNCED, encounter="Encounter/other", movement="M9^CHU^1.2.250.1.999.1")
    account = {"account": [{"reference": "Account/nda"}]}
    was = arrive(example(), ADMISSION, other)
    was = was.put({**v, **account} for v in was.encounters if not v.get("partOf"))

    assert "Préparer le retour" in opened(after(was, cancelled(ADMISSION, 8, "A11", scope="venue")))
    assert opened(after(was, cancelled(ADMISSION, 8, "A11", scope="dossier"))) == set()


def test_an_inpatient_who_becomes_an_outpatient_is_home_again():
    before = example()
    change = event(e.CLASS_CHANGE, "M8", 3, patient_class="O")
    now = arrive(before, ADMISSION, change)

    assert homes(now) == homes(before)
    assert homes(arrive(now, cancelled(change, 4, "A06", patient_class="I")))[0]["status"] == "on-hold"


def test_a_patient_without_an_active_plan_is_stored_silently():
    idle = replace(example(), care_plans=tuple({**p, "status": "on-hold"} for p in example().care_plans))

    assert [react(one, idle, NOW) for one in (EMERGENCY, ADMISSION, ANNOUNCED, DISCHARGE, CANCELLED)] == [[]] * 5


def test_a_historic_movement_makes_no_task_and_no_notice():
    assert react(replace(DISCHARGE, historic=True), arrive(example(), ADMISSION), NOW) == []


def test_a_discharge_replacing_an_uncancelled_one_leaves_no_duplicate():
    now = after(example(), ADMISSION, DISCHARGE, SECOND)
    open_ = [t["description"] for t in now.tasks if t["description"] in RETURN and t["status"] == "requested"]

    assert sorted(open_) == sorted(RETURN)


def test_who_left_the_team_is_told_no_more_but_the_counter_notice_reaches_who_was_told():
    was = arrive(example(), ADMISSION, DISCHARGE)
    team = was.care_teams[0]
    left = [{**p, "period": {"start": "2026-06-15", "end": "2026-09-01"}} if "infirm" in str(p).lower() else p for p in team["participant"]]
    now = arrive(was.put([{**team, "participant": left}]), CANCELLED)
    first = [n for n in now.communications if "discharge" in c.codes(n)]

    assert recipients([n for n in now.communications if c.COUNTER in c.codes(n)]) == recipients(first)
    assert "Nadia MARCHAND" in {n["recipient"][0]["display"] for n in first}
    assert "Nadia MARCHAND" not in {n["recipient"][0]["display"] for n in arrive(now, SECOND).communications if "le 11 septembre" in n["payload"][0]["contentString"]}


def test_one_person_known_by_two_references_is_told_once():
    team = example().care_teams[0]
    practitioner = example().persons[team["participant"][0]["member"]["reference"]]
    twice = {"role": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0443", "code": "ODRP"}]}], "member": {"reference": practitioner}}
    now = arrive(example().put([{**team, "participant": [*team["participant"], twice]}]), ADMISSION)

    assert len(now.communications) == 3


def test_a_discharge_that_comes_after_the_one_that_replaced_it_makes_nothing():
    was = after(example(), ADMISSION, SECOND)

    assert react(DISCHARGE, was, NOW) == []


def test_what_somebody_took_after_a_first_discharge_is_not_asked_again_by_a_second():
    taken = "Premier passage infirmier après le retour"
    now = after(with_status(after(example(), ADMISSION, DISCHARGE), taken, "accepted"), SECOND)

    assert [t["status"] for t in now.tasks if t["description"] == taken] == ["accepted"]


def test_a_movement_or_a_venue_known_to_be_cancelled_makes_nothing():
    venue = {"resourceType": "Encounter", "id": "stay", "status": "in-progress"}
    moved = {"resourceType": "Encounter", "id": "m", "status": "cancelled", "partOf": {"reference": STAY}, "identifier": [{"value": "M4"}]}
    was = after(example(), ADMISSION)

    assert react(DISCHARGE, was.put([venue, moved]), NOW) == []
    assert react(DISCHARGE, was.put([{**venue, "status": "cancelled"}]), NOW) == []
    assert react(SECOND, was.put([venue, moved]), NOW) != []


def test_a_held_task_that_somebody_cancelled_stays_as_it_is():
    was = with_status(arrive(example(), ADMISSION), "Portage de repas, sans sel, du lundi au samedi", "cancelled")
    now = arrive(was, DISCHARGE)

    assert [t for t in now.tasks if t["status"] == "cancelled"] == [t for t in was.tasks if t["status"] == "cancelled"]


def test_a_leave_told_after_the_return_holds_nothing():
    before = example()
    leave, back = event(e.ABSENCE, "M6", 4), event(e.RETURN, "M7", 5)

    assert homes(arrive(before, back, leave)) == homes(before)


def test_an_older_correction_that_comes_late_moves_nothing_and_tells_nobody():
    newer, older = amended(DISCHARGE, 12, at="2026-09-13T10:00:00+02:00"), amended(DISCHARGE, 10, at="2026-09-10T10:00:00+02:00")

    assert react(older, arrive(example(), ADMISSION, DISCHARGE, newer), NOW) == []


def test_a_correction_of_a_cancelled_discharge_makes_nothing():
    was = arrive(example(), ADMISSION, DISCHARGE, CANCELLED)

    assert react(amended(DISCHARGE, 10, destination="7", at="2026-09-12T10:00:00+02:00"), was, NOW) == []


def test_without_zbe_a_cancellation_takes_back_what_was_said_before_it():
    first = replace(DISCHARGE, movement="A03/V1/20260909100000^GAM^CHU^")
    second = replace(SECOND, movement="A03/V1/20260911100000^GAM^CHU^")
    cancel = cancelled(replace(DISCHARGE, movement="A03/V1/*^GAM^CHU^"), 9, "A13")
    was = arrive(example(), ADMISSION, first)

    assert opened(arrive(was, cancel)) & RETURN == set()
    assert opened(arrive(was, cancel, second)) >= RETURN
    assert react(cancel, arrive(was, cancel, second), NOW) == []
    assert react(replace(cancel, movement="A03/V2/*^GAM^CHU^"), was, NOW) == []


def test_an_emergency_corrected_to_a_consultation_is_taken_back():
    before = example()
    now = arrive(before, EMERGENCY, amended(EMERGENCY, 2, patient_class="O"))

    assert opened(now) == set()
    assert homes(now) == homes(before)
    assert len([n for n in now.communications if c.COUNTER in c.codes(n)]) == 3


def test_a_death_told_again_after_it_was_taken_back_is_a_new_one_only_when_it_was_said_later():
    death = event(e.DEATH, "M4", 9, dead=True, trigger="A31")
    was = after(example(), ADMISSION, death, cancelled(death, 10, "A31", dead=False), SECOND)
    again = replace(death, recorded="2026-09-20T10:00:00+02:00")
    now = after(was, again)

    assert react(death, was, NOW) == []
    assert opened(now) == set()
    assert len([n for n in now.communications if "death" in c.codes(n)]) == 2
    assert react(again, now, NOW) == []

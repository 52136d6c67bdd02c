"""The reverse road from a real PUT: what a simple client sends back, without our ids and extensions, and what a hospital gets."""

from pathlib import Path
from typing import Any

import httpx

from exchange.test_outbound import Hospital, differing, house, lines, run
from icops_fhir.app import build
from icops_fhir.exchange.transplant import content
from icops_fhir.settings import Settings


def client(store: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=build(Settings(), store=store)), base_url="http://localhost/fhir/")


def test_a_put_of_a_phone_after_a_whole_stay_is_one_a31_and_a_strict_trait_is_none(tmp_path: Path) -> None:
    async def test() -> None:
        hospital = Hospital()
        async with house(tmp_path, hospital) as home, client(home.store) as web:
            for name in ("adt_a28_create_ins_vali_full", "adt_a16_insert_announced_discharge"):
                await home.message(name)
            last = await home.message("adt_a03_insert_discharge_home")
            found = (await web.get("Patient")).json()["entry"][0]["resource"]
            edited = {**content(found), "id": found["id"], "telecom": [{**t, "value": "0400000001"} if t["value"].replace(" ", "").endswith("478990114") else t for t in content(found["telecom"])]}
            edited.pop("meta", None)
            answer = await web.put(f"Patient/{found['id']}", json=edited)
            assert answer.status_code == 200, answer.text
            again = await web.put(f"Patient/{found['id']}", json=edited)
            assert again.status_code == 200
            refused = await web.put(f"Patient/{found['id']}", json={**edited, "birthDate": "1950-01-01"})
            assert refused.status_code == 422
            (told,) = await hospital.hears(1)
            await home.settled()

        assert len(hospital.heard) == 1
        assert differing(last, told, "PID") == {13}
        kept, sent = lines(last), lines(told)
        assert all(set(sent[name]) <= set(kept[name]) for name in sent if name not in ("MSH", "PID", "PV1"))

    run(test)

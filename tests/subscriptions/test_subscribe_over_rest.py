"""The whole way: a Subscription posted to the real application, a real endpoint, what REST answers of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
from subscription_kit import care_plan, numbers, receiver, subscription, task, told

from icops_fhir.app import build
from icops_fhir.settings import Settings

BASE = "http://127.0.0.1:8080/fhir"


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[httpx.AsyncClient]:
    app = build(Settings(database_url="sqlite:///:memory:", mllp_port=-1, base_url=BASE))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE + "/") as web:
        yield web


async def until_active(web: httpx.AsyncClient, id_: str) -> None:
    async with asyncio.timeout(10):
        while (await web.get(f"Subscription/{id_}")).json()["status"] != "active":     # noqa: ASYNC110
            await asyncio.sleep(0.01)


def transaction(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in resources]}


def test_a_subscriber_is_served_from_post_to_events() -> None:
    async def story() -> None:
        async with receiver() as hook, service() as web:
            asked = subscription(hook.url, "patient=Patient/x")
            del asked["id"]
            made = await web.post("Subscription", json=asked)
            assert made.status_code == 201, made.text
            id_ = made.json()["id"]
            await until_active(web, id_)
            answer = await web.post("", json=transaction({"resourceType": "Patient", "id": "x"}, care_plan(), *(task(f"t{n}") for n in range(3))))
            assert answer.status_code == 200, answer.text
            await hook.until(lambda: len(hook.events) == 4)

            status = (await web.get(f"Subscription/{id_}/$status")).json()
            assert told({"entry": status["entry"]}, "events-since-subscription-start") == "4"
            assert numbers((await web.get(f"Subscription/{id_}/$events?eventsSinceNumber=3")).json()) == [3, 4]
            why = (await web.get(f"Subscription/{id_}/$why?change=Patient/x")).json()
            assert why["parameter"][1] == {"name": "reason", "valueCode": "other-type"}
            all_ = (await web.get("Subscription/$status")).json()
            assert all_["total"] == 1
            assert hook.taken[-1]["entry"][0]["request"]["url"] == f"{BASE}/Subscription/{id_}/$status"

            gone = await web.delete(f"Subscription/{id_}")
            assert gone.status_code == 204
            assert (await web.get(f"Subscription/{id_}/$events")).status_code in (404, 410)

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_subscription_that_could_not_notify_is_refused_at_the_door() -> None:
    async def story() -> None:
        async with service() as web:
            for wrong in (subscription("http://169.254.169.254/"), subscription() | {"criteria": "Task?status=x"}, subscription("http://127.0.0.1/", "Task?status=done")):
                for answer in (await web.post("Subscription", json=wrong), await web.put("Subscription/s1", json=wrong), await web.post("", json=transaction(wrong))):
                    assert answer.status_code in (400, 422), answer.text
                    assert "icops-subscription" in answer.text
            assert (await web.get("Subscription/s1")).status_code == 404

    asyncio.run(asyncio.wait_for(story(), 30))

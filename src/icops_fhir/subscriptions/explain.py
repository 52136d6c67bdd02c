"""Why a change did, or did not, notify a subscription: every (change, subscription) pair has one reason.

The outcome of https://hl7.org/fhir/R5/subscriptiontopic.html (trigger, then filters) said in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icops_fhir.subscriptions.subscription import Subscription

Resource = dict[str, Any]

REASONS = {
    # code             English                                                          French
    "fired":          ("It fires the topic and passes every filter.",                    "Il déclenche le sujet et passe tous les filtres."),
    "other-type":     ("The topic does not watch {}.",                                   "Le sujet ne surveille pas {}."),
    "other-interaction": ("The topic does not watch this interaction: {}.",              "Le sujet ne surveille pas cette interaction : {}."),
    "criteria":       ("The resource is not what the topic asks for: {}.",               "La ressource n'est pas celle que le sujet demande : {}."),
    "filtered-type":  ("Every filter of the subscription names another type than {}.",   "Chaque filtre de l'abonnement nomme un autre type que {}."),
    "filtered":       ("This filter does not pass: {}.",                                 "Ce filtre ne passe pas : {}."),
    "before":         ("The subscription did not exist yet.",                            "L'abonnement n'existait pas encore."),
    "deleted":        ("The subscription was deleted.",                                  "L'abonnement était supprimé."),
    "off":            ("The subscription was off.",                                      "L'abonnement était arrêté (off)."),
    "ended":          ("The subscription had ended on {}.",                              "L'abonnement avait pris fin le {}."),
    "refused":        ("The subscription itself cannot be served: {}.",                  "L'abonnement lui-même ne peut pas être servi : {}."),
    "pending":        ("The change has not been looked at yet; ask again in a moment.",  "Le changement n'a pas encore été examiné ; redemandez dans un instant."),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One code of REASONS and what it is about."""

    code: str
    detail: str = ""

    @property
    def fires(self) -> bool:
        return self.code == "fired"

    def text(self, language: str = "en") -> str:
        return REASONS[self.code][language.lower().startswith("fr")].format(self.detail)


FIRED = Reason("fired")


def explain(subscription: Subscription, previous: Resource | None, current: Resource | None, at: str = "") -> Reason:
    """The reason for one change, `at` that instant; `current` is None when the change is a deletion."""
    reason = subscription.topic.decide(previous, current)
    standing = subscription.stands(at)
    if not standing.fires or not reason.fires:
        return reason if standing.fires else standing
    return subscription.admits((previous if current is None else current) or {})

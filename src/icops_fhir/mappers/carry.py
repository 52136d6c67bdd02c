"""Carry: what a table did not say, kept beside the resource.

    carried = the leaves of the original that  write(read(original))  would not give back.

Unchanged owner -> every leaf comes back, whatever the table says or forgets.
Edited owner    -> the edit wins; a carried leaf returns only where it changes no meaning.

An owner is the smallest thing rows read together (a repetition, a field). Its leaves go back whole when its
meaning is unchanged; leaves that no row reads return without trial; the rest by bisection, in the order of
their places, so that neither the order they are stored in nor the size of the message matters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

P = TypeVar("P", bound=tuple[int, ...])


def left_over(original: Mapping[P, str], rewritten: Mapping[P, str]) -> dict[P, str]:
    """What rewriting loses or changes; "" says that nothing stood there."""
    kept = {place: text for place, text in original.items() if rewritten.get(place) != text}
    kept.update({place: "" for place in rewritten if place not in original})
    return kept


def overlay(leaves: Mapping[P, str], over: Iterable[tuple[P, str]]) -> dict[P, str]:
    """Leaves with others put over them; "" takes a leaf away."""
    out = dict(leaves)
    for place, text in over:
        if text:
            out[place] = text
        else:
            out.pop(place, None)
    return out


def put_back(
    written: Mapping[P, str],
    carried: Mapping[P, str],
    means: Callable[[dict[P, str]], object],
    same: Callable[[object, object], bool],
    unread: Collection[P] = (),
    unchanged: Callable[[object], bool] | None = None,
) -> dict[P, str]:
    """The leaves of one owner: what its FHIR writes, with the carried leaves that change no meaning.

    `unchanged(meaning)` tells whether a meaning is still the one FHIR holds; without it, the owner is unchanged
    when the carried leaves do not change what is written.
    """
    if not carried:
        return dict(written)
    whole = overlay(written, carried.items())
    if unread and all(place in unread for place in carried):
        return whole
    meaning = means(whole)
    wanted = means(dict(written))
    if same(meaning, wanted) or (unchanged is not None and unchanged(meaning)):
        return whole
    silent = [(place, carried[place]) for place in carried if place in unread]
    out = overlay(written, silent)
    trials = sorted((place, text) for place, text in carried.items() if place not in unread)

    def bisect(leaves: list[tuple[P, str]]) -> None:
        nonlocal out
        trial = overlay(out, leaves)
        if same(means(trial), wanted):
            out = trial
        elif len(leaves) > 1:
            middle = len(leaves) // 2
            bisect(leaves[:middle])
            bisect(leaves[middle:])

    if trials:
        bisect(trials)
    return out

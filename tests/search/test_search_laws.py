"""The law of each parameter type: what the SQL finds is what reading the resources finds. https://hl7.org/fhir/R4/search.html

Facts about a random resource are written down while it is made, and judged here in plain Python, without index rows.
"""

import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st
from search_house import NOW, House

from icops_fhir.fhir.json import Number


def numbered(type, members):
    return [{"resourceType": type, "id": str(i), **m} for i, m in enumerate(members)]


def check(type, made, params, matches):
    """made: (members, facts) pairs; matches: facts -> bool."""
    house = House(numbered(type, [members for members, _ in made]))
    expected = [str(i) for i, (_, facts) in enumerate(made) if matches(facts)]

    assert expected == house.search(type, *params)


# ------------------------------------------------------------------ string

word = st.sampled_from(["Jean", "jean-luc", "JÉANNE", "Lœb", "loeb", "d’Été", "D ete", "ß", "Ss", "a_b", "axb", "a%b", "50% \\x", "", "Œ", "é", "E\u0301"])
human_name = st.fixed_dictionaries({}, optional={"family": word, "given": st.lists(word, max_size=2), "text": word, "use": st.just("usual")})


def folded(text):
    for letter, plain in (("œ", "oe"), ("æ", "ae"), ("’", " "), ("'", " "), ("-", " ")):
        text = text.casefold().replace(letter, plain)
    return " ".join("".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn").split())


@example([[{"family": "axb"}], [{"family": "a_b"}]], ":contains", ["a_b"])
@given(st.lists(st.lists(human_name, max_size=2), max_size=5), st.sampled_from(["", ":exact", ":contains"]), st.lists(word.filter(bool), min_size=1, max_size=2))
def test_strings_start_contain_or_are_what_is_asked(names, modifier, values):
    made = [({"name": items}, [part for n in items for part in (n.get("family"), n.get("text"), *n.get("given", [])) if part is not None]) for items in names]
    test = {"": lambda a, v: folded(a).startswith(folded(v)), ":exact": lambda a, v: a == v, ":contains": lambda a, v: folded(v) in folded(a)}[modifier]
    asked = ",".join(value.replace("\\", "\\\\") for value in values)

    check("Patient", made, [(f"name{modifier}", asked)], lambda parts: any(test(part, value) for part in parts for value in values))


# ------------------------------------------------------------------ token

SYSTEMS, CODES = [None, "s", "t|u", "a,b"], ["1", "2", "x,y", "p|q", "b\\"]
identifier = st.fixed_dictionaries({"value": st.sampled_from(CODES)}, optional={"system": st.sampled_from(SYSTEMS[1:]), "type": st.just({"text": "t"})})
coding = st.fixed_dictionaries({}, optional={"code": st.sampled_from(CODES), "system": st.sampled_from(SYSTEMS[1:]), "display": st.just("d")})


def escaped(text):
    return text.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,")


asked_token = st.one_of(
    st.sampled_from(CODES).map(lambda code: (escaped(code), lambda s, c: c == code)),
    st.tuples(st.sampled_from(SYSTEMS[1:]), st.sampled_from(CODES)).map(lambda p: (f"{escaped(p[0])}|{escaped(p[1])}", lambda s, c: (s, c) == p)),
    st.sampled_from(CODES).map(lambda code: (f"|{escaped(code)}", lambda s, c: c == code and s is None)),
    st.sampled_from(SYSTEMS[1:]).map(lambda system: (f"{escaped(system)}|", lambda s, c: s == system)),
)


@given(st.lists(st.lists(identifier, max_size=2), max_size=5), st.lists(asked_token, min_size=1, max_size=2), st.booleans())
def test_identifiers_are_found_by_system_and_value_and_not_found_by_not(made, asked, negated):
    facts = [({"identifier": items}, [(i.get("system"), i["value"]) for i in items]) for items in made]
    params = [("identifier:not" if negated else "identifier", ",".join(text for text, _ in asked))]

    check("Patient", facts, params, lambda found: negated != any(test(*one) for one in found for _, test in asked))


@given(st.lists(st.lists(coding, max_size=2), max_size=5), st.lists(asked_token, min_size=1, max_size=2))
def test_codings_are_found_inside_their_concept(made, asked):
    facts = [({"code": {"coding": items, "text": "t"}}, [(i.get("system"), i.get("code")) for i in items]) for items in made]

    check("Observation", facts, [("code", ",".join(text for text, _ in asked))], lambda found: any(test(*one) for one in found for _, test in asked))


@given(st.lists(st.sampled_from([None, True, False]), max_size=4), st.lists(st.sampled_from([None, "male", "female"]), max_size=4))
def test_booleans_and_codes_are_tokens_without_or_with_any_system(flags, genders):
    for member, values, code in (("active", flags, "true"), ("gender", genders, "male")):
        made = [({} if value is None else {member: value}, value) for value in values]
        for text in (code, f"http://hl7.org/fhir/any|{code}", f"|{code}"):
            check("Patient", made, [(member, text)], lambda value, code=code: value == {"true": True}.get(code, code) and value is not None)
        check("Patient", made, [(f"{member}:missing", "true")], lambda value: value is None)
        check("Patient", made, [(f"{member}:missing", "false")], lambda value: value is not None)


# ------------------------------------------------------------------ reference

TARGETS = ["Patient/1", "Patient/2", "Group/1", "http://x.org/fhir/Patient/1", "urn:uuid:0", "Patient/1/_history/3", "#p", "http://x.org/fhir/Patient/1/_history/2"]
reference = st.fixed_dictionaries({}, optional={"reference": st.sampled_from(TARGETS), "identifier": identifier, "display": st.just("d")})
MEANS = {  # asked -> the references it stands for
    "Patient/1": {"Patient/1", "Patient/1/_history/3"}, "1": {"Patient/1", "Group/1", "Patient/1/_history/3"}, "urn:uuid:0": {"urn:uuid:0"},
    "http://x.org/fhir/Patient/1": {"http://x.org/fhir/Patient/1", "http://x.org/fhir/Patient/1/_history/2"}, "Group/1": {"Group/1"}, "Patient/9": set(),
}  # fmt: skip


@given(st.lists(reference, max_size=6), st.lists(st.sampled_from(list(MEANS)), min_size=1, max_size=2))
def test_references_are_found_however_they_are_written(made, asked):
    facts = [({"subject": item}, item.get("reference")) for item in made]
    wanted = set().union(*(MEANS[text] for text in asked))

    check("Observation", facts, [("subject", ",".join(asked))], lambda found: found in wanted)
    check("Observation", facts, [("patient", ",".join(asked))], lambda found: found in wanted and "Patient/" in found)
    check("Observation", facts, [("subject:Patient", "1")], lambda found: found in MEANS["Patient/1"])


@given(st.lists(reference, max_size=5), asked_token)
def test_references_are_found_by_the_identifier_they_carry(made, asked):
    facts = [({"subject": item}, item.get("identifier")) for item in made]

    check("Observation", facts, [("subject:identifier", asked[0])], lambda i: i is not None and asked[1](i.get("system"), i["value"]))


# ------------------------------------------------------------------ date

PARIS = ZoneInfo("Europe/Paris")
START, END = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
days = st.one_of(
    st.integers(0, 3).map(lambda n: datetime(2026, 3, 28).date() + timedelta(days=n)),  # the clocks change on the 29th
    st.integers(-40, 40).map(lambda n: NOW.date() + timedelta(days=n)),
    st.dates(min_value=datetime(1890, 1, 1).date(), max_value=datetime(2100, 1, 1).date()),
)
zones = st.sampled_from(["Z", "+01:00", "-11:30", "+14:00"])


def local(day):
    return datetime(day.year, day.month, day.day, tzinfo=PARIS).astimezone(UTC)


@st.composite
def moment(draw):
    """(text, first instant, first instant after)"""
    day = draw(days)
    precision = draw(st.sampled_from(["year", "month", "day", "day", "local", "second", "milli"]))
    if precision == "year":
        return f"{day.year:04}", local(day.replace(month=1, day=1)), local(day.replace(year=day.year + 1, month=1, day=1))
    if precision == "month":
        first = day.replace(day=1)
        return day.isoformat()[:7], local(first), local((first + timedelta(days=32)).replace(day=1))
    if precision == "day":
        return day.isoformat(), local(day), local(day + timedelta(days=1))
    clock = draw(st.times())
    if precision == "local":
        text = f"{day.isoformat()}T{clock.hour:02}:{clock.minute:02}"
        low = datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC)
        return text, low, low + timedelta(minutes=1)
    zone = draw(zones)
    whole = datetime.combine(day, clock).replace(microsecond=clock.microsecond // 1000 * 1000 if precision == "milli" else 0)
    text = whole.isoformat(timespec="milliseconds" if precision == "milli" else "seconds") + zone
    low = datetime.fromisoformat(text)
    return text, low, low + (timedelta(milliseconds=1) if precision == "milli" else timedelta(seconds=1))


@st.composite
def effective(draw):
    """(members of Observation, range)"""
    kind = draw(st.sampled_from(["none", "dateTime", "period", "timing"]))
    if kind == "none":
        return {}, None
    if kind == "dateTime":
        text, low, high = draw(moment())
        return {"effectiveDateTime": text}, (low, high)
    if kind == "timing":
        events = draw(st.lists(moment(), min_size=1, max_size=2))
        return {"effectiveTiming": {"event": [text for text, _, _ in events]}}, (min(e[1] for e in events), max(e[2] for e in events))
    (a, a_low, a_high), (b, b_low, b_high) = draw(moment()), draw(moment())
    if b_low < a_low:
        a, a_low, a_high, b, b_low, b_high = b, b_low, b_high, a, a_low, a_high
    period = draw(st.sampled_from([{"start": a, "end": b}, {"start": a}, {"end": b}]))
    return {"effectivePeriod": period}, (a_low if "start" in period else START, max(a_high, b_high) if "end" in period and b_high < a_high else b_high if "end" in period else END)


def date_matches(how, low, high, found):
    if found is None:
        return False
    start, end = found
    inside = low <= start and end <= high
    gap = {"ap": (min(abs(low - NOW), timedelta.max) / 10, abs(high - NOW) / 10)}.get(how, (timedelta(), timedelta()))
    return {
        "": inside, "eq": inside, "ne": not inside, "lt": start < low, "gt": end > high, "le": start < low or inside, "ge": end > high or inside,
        "sa": start >= high, "eb": end <= low, "ap": start < high + gap[1] and end > low - gap[0],
    }[how]  # fmt: skip


prefixes = st.sampled_from(["", "eq", "ne", "lt", "gt", "le", "ge", "sa", "eb"])


@example([({"effectivePeriod": {"start": "2026-03-01", "end": "2026-03-09"}}, (local(NOW.date()), local(NOW.date() + timedelta(days=9))))],
         [("le", ("2026-03", local(NOW.date()), local(NOW.date() + timedelta(days=31))))])  # fmt: skip
@example([({"effectivePeriod": {"start": "2026-03-01", "end": "2026-03-09"}}, (local(NOW.date()), local(NOW.date() + timedelta(days=9))))],
         [("le", ("2026-03-01", local(NOW.date()), local(NOW.date() + timedelta(days=1))))])  # fmt: skip
@given(st.lists(effective(), max_size=6), st.lists(st.tuples(prefixes, moment()), min_size=1, max_size=2))
def test_dates_are_ranges_compared_as_ranges(made, asked):
    made = [(members, found) for members, found in made if found is None or found[0] < found[1]]
    params = [("date", ",".join(how + text for how, (text, _, _) in asked))]

    check("Observation", made, params, lambda found: any(date_matches(how, low, high, found) for how, (_, low, high) in asked))


@given(st.lists(moment(), max_size=5), moment())
def test_approximately_widens_by_a_tenth_of_the_distance_from_now(made, asked):
    text, low, high = asked
    facts = [({"effectiveDateTime": t}, (a, b)) for t, a, b in made]
    # an edge exactly on the widened bound may fall either way by a rounded millisecond: leave those out
    edges = [(low - abs(low - NOW) / 10), (high + abs(high - NOW) / 10)]
    facts = [(m, f) for m, f in facts if all(abs(x - e) > timedelta(milliseconds=2) for x in f for e in edges)]

    check("Observation", facts, [("date", f"ap{text}")], lambda found: date_matches("ap", low, high, found))


# ------------------------------------------------------------------ number, quantity

decimals = st.one_of(
    st.sampled_from([Decimal("100"), Decimal("99.5"), Decimal("100.5")]), st.decimals(-1000, 1000, places=2), st.sampled_from([Decimal(x) for x in ("100", "99.5", "100.5", "99.49", "5.4", "5.35", "5.45", "0", "-0.05", "0.05", "1E+2", "1.0", "1.00")])
)
number_prefixes = st.sampled_from(["", "ne", "lt", "gt", "le", "ge", "sa", "eb"])


def number_matches(how, asked, low, high):
    exact = Fraction(asked)
    half = Fraction(5) * Fraction(10) ** (asked.as_tuple().exponent - 1)
    first, after = exact - half, exact + half
    inside = first <= low and high < after
    return {"": inside, "ne": not inside, "lt": low < exact, "gt": high > exact, "le": low <= exact, "ge": high >= exact, "sa": low > exact, "eb": high < exact}[how]


@given(st.lists(decimals, max_size=6), st.lists(st.tuples(number_prefixes, decimals), min_size=1, max_size=2))
@example([Decimal("99.5"), Decimal("100.5"), Decimal("99.49")], [("", Decimal("100"))])
def test_numbers_are_compared_with_the_precision_of_what_is_asked(made, asked):
    facts = [({"prediction": [{"probabilityDecimal": Number(str(value))}]}, Fraction(value)) for value in made]
    params = [("probability", ",".join(f"{how}{value}" for how, value in asked))]

    check("RiskAssessment", facts, params, lambda found: any(number_matches(how, value, found, found) for how, value in asked))


UNITS = [("http://unitsofmeasure.org", "mg", "mg"), ("http://unitsofmeasure.org", "mm[Hg]", "mmHg"), (None, None, "mg"), (None, None, None)]
INFINITE = Fraction(10**30)


@st.composite
def quantity(draw):
    value, (system, code, unit) = draw(decimals), draw(st.sampled_from(UNITS))
    comparator = draw(st.sampled_from([None, "<", ">="]))
    members = {"value": Number(str(value)), "system": system, "code": code, "unit": unit, "comparator": comparator}
    low, high = (-INFINITE if comparator == "<" else Fraction(value)), (INFINITE if comparator == ">=" else Fraction(value))
    return {"valueQuantity": {k: v for k, v in members.items() if v is not None}}, (low, high, system, {code, unit} - {None})


@given(st.lists(quantity(), max_size=6), number_prefixes, decimals, st.sampled_from(["", "|http://unitsofmeasure.org|mg", "||mg", "||mmHg", "|http://unitsofmeasure.org|mm[Hg]", "||kg"]))
def test_quantities_are_compared_by_number_and_by_unit_as_written(made, how, asked, unit):
    _, system, code = (unit or "||").split("|")

    def matches(found):
        low, high, has, units = found
        return number_matches(how, asked, low, high) and (not system or system == has) and (not code or code in units)

    check("Observation", made, [("value-quantity", f"{how}{asked}{unit}")], matches)


# ------------------------------------------------------------------ uri

uris = st.sampled_from(["http://x.org/a", "http://x.org/a/b", "http://x.org/ab", "HTTP://x.org/a"])


@given(st.lists(st.lists(uris, max_size=2), max_size=5), uris, st.sampled_from(["", ":below"]))
@example([["http://x.org/ab"], ["http://x.org/a/b"]], "http://x.org/a", ":below")
def test_uris_are_the_same_text_or_below_it(made, asked, modifier):
    facts = [({"instantiatesUri": items}, items) for items in made]
    test = (lambda uri: uri == asked or uri.startswith(asked + "/")) if modifier else (lambda uri: uri == asked)

    check("CarePlan", facts, [(f"instantiates-uri{modifier}", asked)], lambda found: any(map(test, found)))

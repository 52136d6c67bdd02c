"""A database of any earlier state becomes today's, one of a later release or of someone else is refused untouched."""

import sqlite3

import pytest
from store_kit import create, open_store

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store.migrations import APPLICATION, migrate, migrations
from icops_fhir.store.queries import COLUMNS, queries, text


def memory():
    return sqlite3.connect(":memory:", isolation_level=None)


def shape(connection):
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


def content(connection):
    """Every table but the one a step itself fills."""
    tables = [name for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if name != "fingerprint"]
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def fill(connection):
    """One row in every table there is, so that each step is tried on data."""
    for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]:
            values = [1 if column[2] == "INTEGER" else b"{}" if column[2] == "BLOB" else "a" for column in columns]
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)


def test_the_steps_are_numbered_without_a_hole():
    assert [f"{n:04}" for n in range(1, len(migrations()) + 1)] == [name[:4] for name in migrations()]


def test_the_steps_lead_where_the_schema_is():
    stepped, fresh = memory(), memory()
    migrate(stepped, upto=len(migrations()))
    migrate(fresh)

    assert shape(fresh) == shape(stepped)
    assert [(len(migrations()),)] == fresh.execute("PRAGMA user_version").fetchall() == stepped.execute("PRAGMA user_version").fetchall()


@pytest.mark.parametrize("number", range(1, len(migrations()) + 1))
def test_each_step_goes_from_the_state_before_it_and_keeps_what_is_there(number):
    connection = memory()
    migrate(connection, upto=number - 1)
    fill(connection)
    before = content(connection)
    migrate(connection, upto=number)
    after = content(connection)

    assert before == {name: after[name] for name in before}
    migrate(connection)
    assert {name: content(connection)[name] for name in before} == before
    assert (number,) <= connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)


def test_what_was_stored_before_fingerprints_is_known_to_need_a_reindex():
    connection = memory()
    migrate(connection, upto=3)
    connection.execute("INSERT INTO resource VALUES (1, 'Patient', 'a', 1, '', 1, 0)")
    migrate(connection)

    assert connection.execute("SELECT * FROM fingerprint").fetchall() == [("Patient", "", "", "")]


def test_a_step_that_fails_leaves_the_state_before_it():
    connection = memory()
    migrate(connection, upto=2)
    before = shape(connection)
    connection.execute("CREATE TABLE cursor (in_the_way)")

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    connection.execute("DROP TABLE cursor")
    assert before == shape(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    migrate(connection)


def refusal(path):
    before = path.read_bytes()
    with pytest.raises(FhirError) as caught:
        open_store(f"sqlite:///{path}")
    assert before == path.read_bytes()
    assert caught.value.issues[0].french
    return caught.value.issues[0]


def test_a_database_of_a_later_release_is_refused_and_said_so(tmp_path):
    path = tmp_path / "later.db"
    store = open_store(f"sqlite:///{path}")
    store.submit(create("a")).result()
    store.close()
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    later.close()

    assert f"version {len(migrations()) + 1}" in refusal(path).diagnostics


def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path):
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague, " * 100)

    assert [refusal(path).rule for path in (other, letter)] == ["icops-store-foreign"] * 2


def test_our_files_carry_our_mark(tmp_path):
    open_store(f"sqlite:///{tmp_path}/s.db").close()

    assert sqlite3.connect(tmp_path / "s.db").execute("PRAGMA application_id").fetchone() == (APPLICATION,)


@pytest.mark.parametrize("name", queries())
def test_every_named_statement_is_planned_without_a_scan_of_a_whole_table(name):
    connection = memory()
    migrate(connection)
    sql = queries()[name]
    plan = " / ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, ["1"] * sql.count("?")))

    assert "TEMP B-TREE" not in plan
    assert name in ("last", "last_pk", "fingerprints") or "SCAN" not in plan


def test_the_records_of_one_owner_are_found_by_their_owner_whatever_the_others_are():
    connection = memory()
    migrate(connection)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + queries()["records_owner"], ["1"] * 4)]

    assert plan == ["SEARCH record USING INDEX record_owner (kind=? AND owner=? AND key>?)"]


def test_the_columns_written_are_those_of_the_schema():
    connection = memory()
    migrate(connection)
    for table, columns in COLUMNS.items():
        assert ["pk", "parameter", "rank", *columns] == [row[1] for row in connection.execute(f"PRAGMA table_info(index_{table})")]
    assert "CREATE TABLE version" in text("schema.sql")

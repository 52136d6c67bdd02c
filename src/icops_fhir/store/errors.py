"""What the store says when it cannot: full, busy, locked, too costly, closed.

https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

import sqlite3

from icops_fhir.fhir.issue import FhirError, Issue


def busy(limit: int) -> FhirError:
    """The queue of the writer is full."""
    return FhirError(Issue(
        "error", "throttled", f"{limit} writes are already waiting: send this one again in a moment.",
        rule="icops-store-queue-full", french=f"{limit} écritures attendent déjà : renvoyez celle-ci dans un instant.",
    ), status=429)


def too_costly(seconds: float) -> FhirError:
    """A read passed its time limit, or could not start within it."""
    return FhirError(Issue(
        "error", "too-costly", f"Not answered within {seconds:g} s: narrow the search or ask for fewer results per page.",
        rule="icops-store-time-limit",
        french=f"Pas de réponse en {seconds:g} s : précisez la recherche ou demandez moins de résultats par page.",
    ), status=503)


def closed() -> FhirError:
    """The store is closing or closed."""
    return FhirError(Issue(
        "error", "transient", "The server is stopping: nothing was written, send it again once it is back.",
        rule="icops-store-closed", french="Le serveur s'arrête : rien n'a été écrit, renvoyez après son retour.",
    ), status=503)


def locked(path: str, holder: str) -> FhirError:
    """Another process has the database."""
    by = f" (process {holder})" if holder else ""
    return FhirError(Issue(
        "fatal", "lock-error",
        f"The database {path} is in use by another server{by}: stop it, or send this command to it.",
        rule="icops-store-locked",
        french=f"La base {path} est utilisée par un autre serveur{by} : arrêtez-le, ou passez par lui.",
    ), status=503)


def newer(path: str, found: int, known: int) -> FhirError:
    """The file was written by a later release."""
    return FhirError(Issue(
        "fatal", "not-supported",
        f"The database {path} has version {found}; this release knows up to {known}: start a release at least as new "
        "as the one that wrote it, or restore a backup made before the upgrade.",
        rule="icops-store-newer",
        french=f"La base {path} est en version {found} ; ce programme connaît jusqu'à {known} : lancez une version au "
        "moins aussi récente que celle qui l'a écrite, ou restaurez une sauvegarde d'avant la mise à jour.",
    ), status=503)


def foreign(path: str) -> FhirError:
    """The file is not a database of ours."""
    return FhirError(Issue(
        "fatal", "not-supported", f"{path} is not a database of icops-fhir: give another path in ICOPS_DATABASE_URL.",
        rule="icops-store-foreign",
        french=f"{path} n'est pas une base d'icops-fhir : donnez un autre chemin dans ICOPS_DATABASE_URL.",
    ), status=503)


def unknown_url(url: str, known: str) -> FhirError:
    """No backend answers to that address."""
    return FhirError(Issue(
        "fatal", "not-supported", f"No store for {url!r}; the addresses known here begin with {known}.",
        rule="icops-store-url", french=f"Pas de base pour {url!r} ; les adresses connues commencent par {known}.",
    ), status=503)


def mismatch(type: str, id: str, expected: int, found: int | None) -> FhirError:
    """If-Match names a version that is not the current one."""
    has, a = (f"is at version {found}", f"est en version {found}") if found else ("does not exist", "n'existe pas")
    return FhirError(Issue(
        "error", "conflict", f"{type}/{id} {has}, not at version {expected}: read it again and redo the change.",
        rule="icops-version-conflict", french=f"{type}/{id} {a}, et non {expected} : relisez-la et refaites la modification.",
    ), status=412)


def exists(type: str, id: str) -> FhirError:
    """It had to be absent and is not."""
    return FhirError(Issue(
        "error", "duplicate", f"{type}/{id} exists already: update it, or choose another id.",
        rule="icops-already-exists", french=f"{type}/{id} existe déjà : mettez-la à jour, ou choisissez un autre id.",
    ), status=412)


def went_back(name: str, at: int, asked: int) -> FhirError:
    """A consumer's cursor would go back: its effect would be done twice."""
    return FhirError(Issue(
        "error", "conflict", f"The consumer {name!r} is at {at} already and cannot go back to {asked}.",
        rule="icops-cursor", french=f"Le consommateur {name!r} est déjà à {at} et ne peut revenir à {asked}.",
    ), status=409)


def unavailable(error: BaseException) -> FhirError:
    """The disk is full, or the database cannot be read or written: nothing of the request was kept."""
    cause = error.__cause__ or error
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return FhirError(Issue(
            "fatal", "no-store", "The disk of the server is full: nothing was written. Make room, then send it again.",
            rule="icops-store-full", french="Le disque du serveur est plein : rien n'a été écrit. Faites de la place, puis renvoyez.",
        ), status=507)
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return FhirError(Issue(
        "fatal", "no-store", f"The database cannot be used ({name}): nothing was written. See the server's log, then send it again.",
        rule="icops-store-failed",
        french=f"La base ne peut être utilisée ({name}) : rien n'a été écrit. Voyez le journal du serveur, puis renvoyez.",
    ), status=503)


# What says that the engine failed, not the job: everyone in the group is told.
_ENGINE = frozenset({
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
})


def engine_failed(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _ENGINE


def said(error: BaseException) -> BaseException:
    """What the caller of a failed job is told: the job's own exception, unless the engine failed under it."""
    if engine_failed(error):
        return unavailable(error)
    if isinstance(error, StopIteration):  # no future can carry it
        return RuntimeError(f"a job let StopIteration out: {error}")
    return error

"""Names that inbound gives to what it keeps: kinds of records, keys, and ids that the same source always gets again.

The ids of resources are made from what a hospital calls them and a salt of this store: the same message gives the same
id, and an id gives no identifier away.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from icops_fhir.fhir.json import dumps, loads

if TYPE_CHECKING:
    from icops_fhir.store.protocol import Transaction

ACK = "ack"  # the acknowledgment of an original
INBOX = "inbox"  # originals whose commit acknowledgment left and that are not applied yet
DEAD = "dead-letter"  # originals that could not be translated or applied, and why
TRANSLATION = "translation"  # the Bundle of an original, before merging; owner = feed(sender, patient)
LATEST = "latest-translation"  # feed(sender, patient) -> key of the newest of them, by the time of the message
FEED = "feed"  # what a sender last sent of a resource; owner = the patient, or the resource itself
MOVEMENT = "movement"  # what was said of a movement; owner = its venue
PENDING = "pending"  # a movement that was amended or cancelled and never arrived; owner = its venue
SEALED = "sealed-movements"  # what the older movements of a venue make together; owner = that venue
VOID = "void"  # a venue whose A11 took its whole dossier away, and until when; owner = the dossier
VENUE = "venue"  # a venue: its Encounter, patient and dossier; owner = its dossier
DOSSIER = "dossier"  # a dossier moved by A44: its patient
PATIENT = "patient-number"  # the number a hospital knows its patient by; owner = the Patient
MERGED = "merged"  # a Patient merged by A40: into which, and when
QUALIFIED = "qualified-ins"  # the file a sender last qualified an INS for, under a name that does not tell the INS: only A47 asks
WITHDRAWN = "withdrawn-ins"  # an INS that a sender withdrew, and when: its older messages no longer bring it
ORIGIN = "origin"  # Type/id/version written by a message; owner = sender
REPEATED = "repeated"  # what a feed says again and again of one resource: the content, and when last; owner = the resource
INS_SAID = "ins-said"  # a feed that says an INS of a Patient; owner = the Patient
FOLD = "*"  # the sender, in a FEED key, of what movements of all senders make together
_SALT = "salt"


def original(sender: str, control_id: str, body: bytes) -> str:
    """The key of an original: sender, control id and content. The same again is a repeat; another content is not."""
    content = hashlib.sha256(body).hexdigest()
    return hashlib.sha256(f"{sender}\x1f{control_id}\x1f{content}".encode()).hexdigest()


def feed(sender: str, patient: str) -> str:
    """Who owns a kept translation: the sender and the patient ("Patient/x")."""
    return f"{sender}|{patient}"


def space(tx: Transaction) -> UUID:
    """The salt of the ids of this store."""
    record = tx.record(_SALT, "ids")
    if record is None:
        made = secrets.token_hex(16)
        tx.put(_SALT, "ids", dumps(made))
        return UUID(hex=made)
    return UUID(hex=str(loads(record.body)))


def made(salt: UUID, *parts: str) -> str:
    """The id of what these parts name."""
    name = hashlib.sha1(salt.bytes + "\x1f".join(parts).encode(), usedforsecurity=False).digest()[:16]  # uuid5, RFC 4122 §4.3
    return str(UUID(bytes=name, version=5))

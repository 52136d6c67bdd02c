-- Messages and documents as they arrived.
CREATE TABLE original (
  key        TEXT NOT NULL,
  sender     TEXT NOT NULL,
  control_id TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  media_type TEXT NOT NULL,
  received   TEXT NOT NULL,
  body       BLOB NOT NULL
);
CREATE UNIQUE INDEX original_key ON original (key);

-- The house's small durable states.
CREATE TABLE record (
  kind  TEXT NOT NULL,
  key   TEXT NOT NULL,
  owner TEXT NOT NULL,
  due   TEXT NOT NULL,
  body  BLOB NOT NULL
);
CREATE UNIQUE INDEX record_key ON record (kind, key);
CREATE INDEX record_owner ON record (kind, owner, key) WHERE owner <> '';
CREATE INDEX record_due ON record (kind, due, key) WHERE due <> '';

-- Where each consumer of the feed is.
CREATE TABLE cursor (
  name     TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL
) WITHOUT ROWID;

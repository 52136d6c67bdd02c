-- The database as the last migration leaves it; a new file starts here, an older one gets there through migrations/.
-- tests/store/test_migrations.py holds the two equal.

-- One row per resource: where its current version is. `pk` names it in the index tables.
CREATE TABLE resource (
  pk       INTEGER PRIMARY KEY,
  type     TEXT    NOT NULL,
  id       TEXT    NOT NULL,
  version  INTEGER NOT NULL,
  updated  TEXT    NOT NULL,
  sequence INTEGER NOT NULL,
  deleted  INTEGER NOT NULL
);
CREATE UNIQUE INDEX resource_id ON resource (type, id);
CREATE INDEX resource_type ON resource (type) WHERE deleted = 0;
CREATE INDEX resource_updated ON resource (type, updated) WHERE deleted = 0;

-- Every version, in the order of the change feed: this table is the feed. `body` comes last, the rest is read without it.
CREATE TABLE version (
  sequence INTEGER PRIMARY KEY,
  pk       INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  type     TEXT    NOT NULL,
  id       TEXT    NOT NULL,
  updated  TEXT    NOT NULL,
  method   TEXT    NOT NULL,
  body     BLOB    NOT NULL
);
CREATE UNIQUE INDEX version_of ON version (pk, version);
CREATE INDEX version_type ON version (type, sequence);

-- Index rows of current versions only. The table itself is clustered by resource (replaced as a whole, and asked
-- "does this resource have …"); its one covering index is by value, and by pk within a value where many share it: a page
-- then comes in order and stops at its limit.
CREATE TABLE index_string (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  norm TEXT, exact TEXT,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_string_value ON index_string (parameter, norm, exact, pk);

CREATE TABLE index_token (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  system TEXT, code TEXT,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_token_value ON index_token (parameter, code, pk, system);

CREATE TABLE index_reference (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  type TEXT, id TEXT, url TEXT,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_reference_value ON index_reference (parameter, id, pk, type, url);

CREATE TABLE index_date (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  low TEXT, high TEXT,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_date_value ON index_date (parameter, low, high, pk);

CREATE TABLE index_number (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  low REAL, high REAL,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_number_value ON index_number (parameter, low, high, pk);

CREATE TABLE index_quantity (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  system TEXT, code TEXT, low REAL, high REAL,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_quantity_value ON index_quantity (parameter, low, high, code, system, pk);

CREATE TABLE index_uri (
  pk INTEGER NOT NULL, parameter INTEGER NOT NULL, rank INTEGER NOT NULL,
  value TEXT,
  PRIMARY KEY (pk, parameter, rank)
) WITHOUT ROWID;
CREATE INDEX index_uri_value ON index_uri (parameter, value, pk);

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

-- Which search parameters and extractor made the index rows of a type; `target` and `upto` while they are remade.
CREATE TABLE fingerprint (
  type   TEXT PRIMARY KEY,
  value  TEXT NOT NULL,
  target TEXT NOT NULL,
  upto   TEXT NOT NULL
) WITHOUT ROWID;

-- Fixed statistics instead of measured ones, so that a search is planned the same on every site and every day: an id is
-- one resource, a type is many, an instant is few. https://www.sqlite.org/fileformat2.html#stat1tab
ANALYZE resource;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('resource', 'resource_id', '1000000 100000 1'),
  ('resource', 'resource_type', '1000000 100000'),
  ('resource', 'resource_updated', '1000000 20000 2');
ANALYZE sqlite_schema;

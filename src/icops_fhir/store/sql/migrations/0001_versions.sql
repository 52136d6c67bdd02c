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

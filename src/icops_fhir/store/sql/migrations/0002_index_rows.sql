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

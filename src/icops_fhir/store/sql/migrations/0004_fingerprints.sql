-- The rows made before fingerprints were kept are remade: no value is known for their types.
-- Which search parameters and extractor made the index rows of a type; `target` and `upto` while they are remade.
CREATE TABLE fingerprint (
  type   TEXT PRIMARY KEY,
  value  TEXT NOT NULL,
  target TEXT NOT NULL,
  upto   TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO fingerprint (type, value, target, upto) SELECT DISTINCT type, '', '', '' FROM resource;

-- Fixed statistics instead of measured ones, so that a search is planned the same on every site and every day: an id is
-- one resource, a type is many, an instant is few. https://www.sqlite.org/fileformat2.html#stat1tab
ANALYZE resource;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('resource', 'resource_id', '1000000 100000 1'),
  ('resource', 'resource_type', '1000000 100000'),
  ('resource', 'resource_updated', '1000000 20000 2');
ANALYZE sqlite_schema;

-- The fixed statements of the store, each under its name. Searches are written by icops_fhir.search.query.

-- name: read
SELECT v.type, v.id, v.version, v.updated, v.sequence, v.method, v.body
FROM resource r JOIN version v ON v.sequence = r.sequence WHERE r.type = ? AND r.id = ?;

-- name: read_pk
SELECT v.type, v.id, v.version, v.updated, v.sequence, v.method, v.body
FROM resource r JOIN version v ON v.sequence = r.sequence WHERE r.pk = ?;

-- name: vread
SELECT v.type, v.id, v.version, v.updated, v.sequence, v.method, v.body
FROM resource r JOIN version v ON v.pk = r.pk WHERE r.type = ? AND r.id = ? AND v.version = ?;

-- name: history
SELECT type, id, version, updated, sequence, method, body
FROM version WHERE sequence < ? AND sequence >= ? ORDER BY sequence DESC LIMIT ?;

-- name: history_type
SELECT type, id, version, updated, sequence, method, body
FROM version WHERE type = ? AND sequence < ? AND sequence >= ? ORDER BY sequence DESC LIMIT ?;

-- name: history_instance
SELECT v.type, v.id, v.version, v.updated, v.sequence, v.method, v.body
FROM resource r JOIN version v ON v.pk = r.pk
WHERE r.type = ? AND r.id = ? AND v.sequence < ? AND v.sequence >= ? ORDER BY v.version DESC LIMIT ?;

-- name: changes
SELECT sequence, type, id, version, method FROM version WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: last
SELECT sequence, updated FROM version ORDER BY sequence DESC LIMIT 1;

-- name: updated_at
SELECT updated FROM version WHERE sequence = ?;

-- name: last_pk
SELECT coalesce(max(pk), 0) FROM resource;

-- name: place
SELECT pk, version, deleted FROM resource WHERE type = ? AND id = ?;

-- name: insert_resource
INSERT INTO resource (pk, type, id, version, updated, sequence, deleted) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: update_resource
UPDATE resource SET version = ?, updated = ?, sequence = ?, deleted = ? WHERE pk = ?;

-- name: insert_version
INSERT INTO version (sequence, pk, version, type, id, updated, method, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep
INSERT INTO original (key, sender, control_id, sha256, media_type, received, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO NOTHING;

-- name: original
SELECT key, sender, control_id, sha256, media_type, received, body FROM original WHERE key = ?;

-- name: record
SELECT kind, key, owner, due, body FROM record WHERE kind = ? AND key = ?;

-- name: records
SELECT kind, key, owner, due, body FROM record WHERE kind = ? AND key > ? ORDER BY key LIMIT ?;

-- A place for a value does not tell the planner that there is an owner: it must be said, or the whole kind is read.
-- name: records_owner
SELECT kind, key, owner, due, body FROM record WHERE kind = ? AND key > ? AND owner = ? AND owner <> '' ORDER BY key LIMIT ?;

-- name: records_unowned
SELECT kind, key, owner, due, body FROM record WHERE kind = ? AND key > ? AND owner = ? ORDER BY key LIMIT ?;

-- name: records_due
SELECT kind, key, owner, due, body FROM record
WHERE kind = ? AND due <> '' AND due <= ? ORDER BY due, key LIMIT ?;

-- name: records_due_owner
SELECT kind, key, owner, due, body FROM record
WHERE kind = ? AND due <> '' AND due <= ? AND owner = ? ORDER BY due, key LIMIT ?;

-- name: put
INSERT INTO record (kind, key, owner, due, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, due = excluded.due, body = excluded.body;

-- name: drop
DELETE FROM record WHERE kind = ? AND key = ?;

-- name: cursor
SELECT sequence FROM cursor WHERE name = ?;

-- name: advance
INSERT INTO cursor (name, sequence) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence;

-- name: fingerprints
SELECT type, value, target, upto FROM fingerprint ORDER BY type;

-- name: first_of_type
INSERT INTO fingerprint (type, value, target, upto) VALUES (?, ?, '', '') ON CONFLICT (type) DO NOTHING;

-- name: reindexed
UPDATE fingerprint SET value = coalesce(?, value), target = ?, upto = ? WHERE type = ?;

-- name: reindex_slice
SELECT r.pk, r.id, r.sequence, v.body
FROM resource r JOIN version v ON v.sequence = r.sequence
WHERE r.type = ? AND r.id > ? AND r.deleted = 0 ORDER BY r.id LIMIT ?;

-- name: still_current
SELECT 1 FROM resource WHERE pk = ? AND sequence = ? AND deleted = 0;

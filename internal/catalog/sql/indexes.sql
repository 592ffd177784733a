-- Only what every row is in and what equality can be looked up by. The first
-- index that tells rows apart is a table's key.
SELECT i.indrelid,
  i.indisprimary OR i.indisunique AND i.indexprs IS NULL AND NOT EXISTS (
    SELECT FROM generate_series(0, i.indnkeyatts - 1) k
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] WHERE NOT a.attnotnull),
  ARRAY (SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) k
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k]
    WHERE NOT EXISTS (SELECT FROM generate_series(0, k) e WHERE i.indkey[e] = 0) ORDER BY k)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND i.indisvalid AND i.indpred IS NULL AND m.amname IN ('btree', 'hash')
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, x.relname

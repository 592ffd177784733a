SELECT c.oid, n.nspname, c.relname, c.relkind::text,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  c.relpersistence = 'u', c.relispartition,
  coalesce((SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1), 0)::oid,
  c.relhassubclass, c.relrowsecurity, c.relforcerowsecurity, row_security_active(c.oid),
  coalesce(e.extname, ''), coalesce(x.condition, ''),
  CASE WHEN c.relkind = 'r' THEN coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int ELSE 0 END,
  CASE WHEN c.relkind = 'r' THEN coalesce(pg_table_size(c.oid), 0) ELSE 0 END,
  c.reltuples::float8,                                                              -- since 14
  CASE WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples END::float8, -- before 14
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
  c.relispopulated,
  -- A restored inheritance child has its parents' columns first.
  NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND
    ARRAY (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) <>
    ARRAY (SELECT a.attnum FROM pg_attribute a
      LEFT JOIN LATERAL (
        SELECT i.inhseqno, p.attnum FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
        WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1
      ) p ON true
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY p.inhseqno NULLS LAST, p.attnum, a.attnum),
  CASE WHEN x.rel IS NOT NULL THEN ARRAY (SELECT k.confrelid FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid) ELSE '{}' END,
  ARRAY (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
LEFT JOIN LATERAL (
  SELECT u.rel, u.condition FROM unnest(e.extconfig, e.extcondition) AS u (rel, condition) WHERE u.rel = c.oid
) x ON true
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
  AND (e.oid IS NULL OR x.rel IS NOT NULL)
ORDER BY n.nspname, c.relname

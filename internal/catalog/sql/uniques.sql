-- What must tell rows apart, or says where a row belongs: unique indexes,
-- exclusion constraints and partition keys, with each column that takes part,
-- be it inside an expression or a predicate.
SELECT i.indrelid, x.relname, CASE WHEN i.indisexclusion THEN 'exclusion' WHEN i.indisprimary THEN 'primary key' ELSE 'unique' END, '',
  ARRAY (SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) k
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] ORDER BY k)
  || ARRAY (SELECT DISTINCT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
      AND NOT d.refobjsubid = ANY (i.indkey::int2[])),
  false
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class x ON x.oid = i.indexrelid
WHERE (i.indisunique OR i.indisexclusion) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
UNION ALL
SELECT p.partrelid, pg_get_partkeydef(p.partrelid), 'partition', p.partstrat::text,
  ARRAY (SELECT a.attname::text FROM generate_series(0, p.partnatts - 1) k
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[k] ORDER BY k)
  || ARRAY (SELECT DISTINCT a.attname::text FROM pg_attribute a
    WHERE p.partexprs IS NOT NULL AND a.attrelid = p.partrelid AND a.attnum > 0 AND NOT a.attisdropped
      AND NOT a.attnum = ANY (p.partattrs::int2[])
      AND pg_get_expr(p.partexprs, p.partrelid) ~ ('\m' || regexp_replace(a.attname, '\W', '\\\&', 'g') || '\M')),
  p.partdefid <> 0
FROM pg_partitioned_table p
JOIN pg_class c ON c.oid = p.partrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
ORDER BY 1, 3, 2

WITH RECURSIVE parts (oid, n, part) AS (
  -- point and its like have an element type too, but are no arrays
  SELECT t.oid, 0, t.typelem FROM pg_type t WHERE t.typelem <> 0 AND t.typlen = -1
  UNION ALL
  SELECT t.oid, 0, t.typbasetype FROM pg_type t WHERE t.typtype = 'd'
  UNION ALL
  SELECT r.rngtypid, 0, r.rngsubtype FROM pg_range r
  UNION ALL                                            -- since 14
  SELECT r.rngmultitypid, 0, r.rngtypid FROM pg_range r -- since 14
  UNION ALL
  SELECT t.oid, a.attnum, a.atttypid FROM pg_type t
  JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE t.typtype = 'c'
), used (oid) AS (
  SELECT a.atttypid
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
    AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
  UNION
  SELECT p.part FROM used u JOIN parts p ON p.oid = u.oid
)
SELECT t.oid, n.nspname, t.typname,
  CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype::text END,
  ARRAY (SELECT p.part FROM parts p WHERE p.oid = t.oid ORDER BY p.n),
  coalesce(e.extname, ''), t.typsend <> 0 AND t.typreceive <> 0,
  coalesce((SELECT format('OPERATOR(%I.%s)', o_n.nspname, o.oprname)
    FROM pg_opclass x
    JOIN pg_am m ON m.oid = x.opcmethod AND m.amname = 'btree'
    JOIN pg_amop s ON s.amopfamily = x.opcfamily AND s.amoplefttype = x.opcintype AND s.amoprighttype = x.opcintype AND s.amopstrategy = 3
    JOIN pg_operator o ON o.oid = s.amopopr
    JOIN pg_namespace o_n ON o_n.oid = o.oprnamespace
    WHERE x.opcintype = t.oid AND x.opcdefault), '')
FROM used u
JOIN pg_type t ON t.oid = u.oid
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid

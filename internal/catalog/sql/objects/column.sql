-- Dropped columns leave gaps that a copy does not have: so the place is
-- counted. A dump does not keep the order of an inheritance child's columns.
-- Names of NOT NULL constraints are not compared.
SELECT r.ident || '.' || quote_ident(a.attname), concat_ws(' ',
  CASE WHEN r.relispartition OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.oid)
    THEN row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) END,
  format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
  CASE WHEN a.attnotnull THEN 'NOT NULL' END,
  (SELECT nullif(concat_ws(' ', CASE WHEN NOT k.convalidated THEN 'NOT VALID' END, CASE WHEN k.connoinherit THEN 'NO INHERIT' END), '') -- since 18
    FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]),                                  -- since 18
  CASE WHEN a.attgenerated = '' THEN 'DEFAULT ' ELSE 'GENERATED ' || a.attgenerated::text || ' AS ' END || pg_get_expr(d.adbin, d.adrelid),
  -- from 17 on, partitions have their parent's
  CASE WHEN NOT r.relispartition THEN 'IDENTITY ' || nullif(a.attidentity::text, '') END,
  CASE WHEN r.relkind IN ('r', 'p', 'm') AND a.attstorage <> t.typstorage THEN 'STORAGE ' || a.attstorage::text END,
  'COMPRESSION ' || nullif(a.attcompression::text, ''), -- since 14
  'STATISTICS ' || nullif(a.attstattarget, -1),
  'WITH ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attoptions) o),
  'OPTIONS ' || a.attfdwoptions::text)
FROM rel r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm')

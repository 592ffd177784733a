SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid,
  a.attnotnull, a.attgenerated::text, a.attidentity::text, coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
  coalesce((SELECT format('%I.%I', l_n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace l_n ON l_n.oid = l.collnamespace WHERE l.oid = a.attcollation), '')
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
ORDER BY a.attrelid, a.attnum

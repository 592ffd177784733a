-- CHECKs of tables, and of domains: those name no column, but VALUE.
SELECT k.conrelid, k.contypid, k.conname, pg_get_expr(k.conbin, k.conrelid),
  ARRAY (SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (num, i)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.i)
FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace
WHERE k.contype = 'c' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
ORDER BY 1, 2, 3

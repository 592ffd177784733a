SELECT k.oid, k.conname, n.nspname, c.relname, pn.nspname, p.relname, k.conrelid, k.confrelid,
  ARRAY (SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (num, i)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.i),
  ARRAY (SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (num, i)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.i),
  ARRAY (SELECT format('OPERATOR(%I.%s)', o_n.nspname, o.oprname) FROM unnest(k.conpfeqop) WITH ORDINALITY u (op, i)
    JOIN pg_operator o ON o.oid = u.op JOIN pg_namespace o_n ON o_n.oid = o.oprnamespace ORDER BY u.i),
  k.confmatchtype::text, k.condeferrable, k.condeferred, k.convalidated,
  true,          -- before 18
  k.conenforced, -- since 18
  pg_get_constraintdef(k.oid)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
ORDER BY n.nspname, c.relname, k.conname

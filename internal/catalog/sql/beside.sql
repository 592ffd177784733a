-- What a dump without owners does not tell: what a copy leaves out on purpose,
-- the roles that policies name, and a state of constraints.
SELECT 'publication', quote_ident(pubname) FROM pg_publication
UNION ALL
SELECT 'subscription', quote_ident(s.subname) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()
UNION ALL
SELECT 'security label', l.provider || ' on ' || i.type || ' ' || i.identity
FROM pg_seclabel l CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i WHERE l.objoid >= 16384
UNION ALL
SELECT 'tablespace', quote_ident(t.spcname) FROM pg_tablespace t
WHERE t.spcname <> 'pg_global' AND (
  EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.reltablespace = t.oid AND n.nspname !~ '^pg_')
  OR t.spcname <> 'pg_default' AND EXISTS (SELECT FROM pg_database d WHERE d.dattablespace = t.oid AND d.datname = current_database()))
UNION ALL
SELECT 'comment', 'extension ' || quote_ident(e.extname)
FROM pg_extension e JOIN pg_description d ON d.classoid = 'pg_extension'::regclass AND d.objoid = e.oid
LEFT JOIN pg_available_extensions a ON a.name = e.extname
WHERE d.description IS DISTINCT FROM coalesce(a.comment, d.description)
UNION ALL
SELECT 'role', pg_get_userbyid(u.role) FROM (SELECT DISTINCT unnest(polroles) FROM pg_policy) u (role) WHERE u.role <> 0
UNION ALL
-- Whoever inherits a CHECK may have validated it for himself alone.
SELECT 'check', format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', n.nspname, c.relname, k.conname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.convalidated AND k.coninhcount > 0 AND NOT k.conislocal
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin')
  AND EXISTS (SELECT FROM pg_inherits i JOIN pg_constraint p ON p.conrelid = i.inhparent
    WHERE i.inhrelid = k.conrelid AND p.contype = 'c' AND p.conname = k.conname AND NOT p.convalidated)
-- Before 18 an heir may take NULL where those that he inherits from don't.
UNION ALL                                                                                                        -- before 18
SELECT 'nullable', format('%I.%I ALTER %I', n.nspname, c.relname, a.attname)                                     -- before 18
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace                                                    -- before 18
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attinhcount > 0 AND NOT a.attnotnull            -- before 18
WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neontwin') -- before 18
  AND EXISTS (                                                                                                   -- before 18
    WITH RECURSIVE up (oid) AS (                                                                                 -- before 18
      SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid                                             -- before 18
      UNION SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.oid                                 -- before 18
    ) SELECT FROM up JOIN pg_attribute p ON p.attrelid = up.oid WHERE p.attname = a.attname AND p.attnotnull)    -- before 18
ORDER BY 1, 2

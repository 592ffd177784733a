-- What servers print from a parsed query differs from version to version.
SELECT r.ident, pg_get_viewdef(r.oid) FROM rel r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT r.ident || '.' || quote_ident(w.rulename), pg_get_ruledef(w.oid)
FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL                                                                                                   -- since 14
SELECT ns.q || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',    -- since 14
  pg_get_functiondef(p.oid)                                                                                 -- since 14
FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace WHERE p.prosqlbody IS NOT NULL AND p.prokind <> 'a'       -- since 14
  AND (p.oid, 'pg_proc'::regclass) NOT IN (SELECT objid, classid FROM member)                               -- since 14

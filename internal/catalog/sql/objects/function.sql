SELECT ns.q || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
  CASE WHEN p.prokind = 'a' THEN (
    SELECT concat_ws(' ', 'AGGREGATE', g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
      g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify, g.aggmfinalmodify,
      g.aggsortop::regoperator, g.aggtranstype::regtype, g.aggtransspace, g.aggmtranstype::regtype, g.aggmtransspace,
      quote_nullable(g.agginitval), quote_nullable(g.aggminitval), p.proparallel)
    FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
  WHEN p.prosqlbody IS NOT NULL THEN 'SQL BODY' -- since 14
  ELSE pg_get_functiondef(p.oid) END
FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace
WHERE (p.oid, 'pg_proc'::regclass) NOT IN (SELECT objid, classid FROM member)
  -- constructors of ranges come with their type
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')

SELECT r.ident, concat_ws(' ',
  CASE r.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END,
  CASE WHEN r.relpersistence = 'u' THEN 'UNLOGGED' END,
  CASE WHEN NOT r.relispopulated THEN 'NOT POPULATED' END,
  'OF ' || nullif(r.reloftype, 0)::regtype,
  'PARTITION BY ' || pg_get_partkeydef(r.oid),
  pg_get_expr(r.relpartbound, r.oid),
  (SELECT 'INHERITS ' || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = r.oid),
  'WITH ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(r.reloptions) o),
  'TOAST WITH ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM pg_class tc, unnest(tc.reloptions) o WHERE tc.oid = r.reltoastrelid),
  CASE WHEN r.relrowsecurity THEN 'ROW SECURITY' END,
  CASE WHEN r.relforcerowsecurity THEN 'FORCE ROW SECURITY' END,
  -- 'd' is the default, and 'i' is seen on the index
  CASE WHEN r.relkind IN ('r', 'p', 'm') THEN 'REPLICA IDENTITY ' || nullif(r.relreplident::text, 'd') END,
  (SELECT concat_ws(' ', 'SERVER', quote_ident(s.srvname), f.ftoptions::text) FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid))
FROM rel r WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm')

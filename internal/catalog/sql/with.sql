WITH ns AS MATERIALIZED (
  SELECT oid, nspname, quote_ident(nspname) AS q FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'neontwin')
), member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), rel AS MATERIALIZED (
  SELECT c.*, ns.q || '.' || quote_ident(c.relname) AS ident
  FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND (c.oid, 'pg_class'::regclass) NOT IN (SELECT objid, classid FROM member)
)

-- versions are not pinned by a dump
SELECT quote_ident(e.extname), 'SCHEMA ' || quote_ident(n.nspname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace

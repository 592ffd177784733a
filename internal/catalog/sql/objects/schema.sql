-- public exists in every new database
SELECT q, '' FROM ns WHERE nspname <> 'public' AND (oid, 'pg_namespace'::regclass) NOT IN (SELECT objid, classid FROM member)

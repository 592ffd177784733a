-- Comments on what a copy leaves out or does not own are left out too.
SELECT i.type || ' ' || i.identity, d.description
FROM pg_description d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384
  AND (d.objoid, d.classoid) NOT IN (SELECT objid, classid FROM member)
  AND d.classoid NOT IN ('pg_extension'::regclass, 'pg_largeobject'::regclass, 'pg_event_trigger'::regclass,
    'pg_publication'::regclass, 'pg_subscription'::regclass)
  AND i.type IS NOT NULL
  AND coalesce(i.schema, '') !~ '^pg_' AND coalesce(i.schema, '') <> 'neontwin' AND i.identity NOT IN ('neontwin', 'public')
  AND NOT (i.type LIKE '%constraint' AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objoid AND k.contype = 'n'))

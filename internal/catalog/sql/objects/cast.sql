-- Casts of a range to its multirange come with the type.
SELECT format_type(k.castsource, NULL) || ' AS ' || format_type(k.casttarget, NULL),
  concat_ws(' ', k.castcontext, k.castmethod, CASE WHEN k.castfunc <> 0 THEN k.castfunc::regprocedure END)
FROM pg_cast k
WHERE k.oid >= 16384 AND (k.oid, 'pg_cast'::regclass) NOT IN (SELECT objid, classid FROM member)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid AND d.deptype = 'i')

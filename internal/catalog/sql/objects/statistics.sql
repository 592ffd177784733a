SELECT ns.q || '.' || quote_ident(s.stxname), concat_ws(' ', pg_get_statisticsobjdef(s.oid), 'STATISTICS ' || nullif(s.stxstattarget, -1))
FROM pg_statistic_ext s JOIN ns ON ns.oid = s.stxnamespace
WHERE (s.oid, 'pg_statistic_ext'::regclass) NOT IN (SELECT objid, classid FROM member)

SELECT r.ident, concat_ws(' ', format_type(s.seqtypid, NULL), 'START', s.seqstart, 'INCREMENT', s.seqincrement, 'MIN', s.seqmin, 'MAX', s.seqmax,
  'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END, CASE WHEN r.relpersistence = 'u' THEN 'UNLOGGED' END,
  (SELECT 'OWNED BY ' || d.refobjid::regclass || '.' || quote_ident(a.attname) || ' ' || d.deptype::text
   FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0
     AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')))
FROM pg_sequence s JOIN rel r ON r.oid = s.seqrelid

-- An index that is not valid is not dumped, except on a partitioned table. On
-- the target it must not be there either.
SELECT r.ident, concat_ws(' ', pg_get_indexdef(i.indexrelid),
  CASE WHEN NOT i.indisvalid THEN '[not valid]' END,
  CASE WHEN i.indisclustered THEN 'CLUSTER' END,
  CASE WHEN i.indisreplident THEN 'REPLICA IDENTITY' END,
  (SELECT 'ATTACHED TO ' || p.inhparent::regclass FROM pg_inherits p WHERE p.inhrelid = i.indexrelid),
  'STATISTICS ' || (SELECT string_agg(a.attnum || '=' || a.attstattarget, ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND nullif(a.attstattarget, -1) IS NOT NULL))
FROM pg_index i JOIN rel r ON r.oid = i.indexrelid JOIN rel t ON t.oid = i.indrelid
WHERE (i.indisvalid OR t.relkind = 'p') AND i.indisready

-- NOT NULL is a property of the column, also where it is a constraint (18).
-- Those of partitions that belong to their parent's are seen there.
SELECT r.ident || '.' || quote_ident(k.conname),
  concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN NOT k.convalidated THEN '[not validated]' END)
FROM pg_constraint k JOIN rel r ON r.oid = k.conrelid
WHERE k.conparentid = 0 AND k.contype NOT IN ('n', 't')
UNION ALL
SELECT ns.q || '.' || quote_ident(t.typname) || '.' || quote_ident(k.conname),
  concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN NOT k.convalidated THEN '[not validated]' END)
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN ns ON ns.oid = t.typnamespace
WHERE k.contype <> 'n' AND (t.oid, 'pg_type'::regclass) NOT IN (SELECT objid, classid FROM member)

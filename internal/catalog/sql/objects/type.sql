SELECT ns.q || '.' || quote_ident(t.typname),
  CASE t.typtype
    WHEN 'e' THEN 'ENUM ' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '')
    WHEN 'c' THEN 'COMPOSITE ' || coalesce((
      SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attcollation::regcollation, ', ' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '')
    WHEN 'r' THEN (SELECT concat_ws(' ', 'RANGE', r.rngsubtype::regtype, r.rngcollation::regcollation, r.rngcanonical, r.rngsubdiff) FROM pg_range r WHERE r.rngtypid = t.oid)
    WHEN 'd' THEN concat_ws(' ', 'DOMAIN', format_type(t.typbasetype, t.typtypmod), t.typcollation::regcollation,
      CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault)
    ELSE concat_ws(' ', 'BASE', t.typisdefined, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typlen, t.typbyval, t.typalign, t.typstorage,
      t.typcategory, t.typispreferred, t.typdelim, t.typdefault)
  END
FROM pg_type t
JOIN ns ON ns.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (c.oid IS NULL OR c.relkind = 'c')
  AND t.typtype <> 'm'
  AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND (t.oid, 'pg_type'::regclass) NOT IN (SELECT objid, classid FROM member)

SELECT t.oid, format_type(t.typbasetype, t.typtypmod), t.typnotnull
FROM pg_type t
WHERE t.typtype = 'd'

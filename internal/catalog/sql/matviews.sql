-- Which materialized views read which others, through any number of views.
WITH RECURSIVE reads (view, rel) AS (
  SELECT DISTINCT r.ev_class, d.refobjid
  FROM pg_rewrite r
  JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
  JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')
), reaches (view, rel) AS (
  SELECT r.view, r.rel FROM reads r JOIN pg_class c ON c.oid = r.view AND c.relkind = 'm'
  UNION
  SELECT x.view, r.rel FROM reaches x JOIN reads r ON r.view = x.rel
)
SELECT x.view, x.rel FROM reaches x JOIN pg_class c ON c.oid = x.rel AND c.relkind = 'm' WHERE x.view <> x.rel

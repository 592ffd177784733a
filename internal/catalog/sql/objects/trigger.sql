-- The clones on partitions are seen on the parent; whether one of them alone
-- is disabled is not compared.
SELECT r.ident || '.' || quote_ident(g.tgname), pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text
FROM pg_trigger g JOIN rel r ON r.oid = g.tgrelid
WHERE NOT g.tgisinternal AND g.tgparentid = 0

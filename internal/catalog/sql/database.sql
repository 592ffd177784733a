SELECT current_setting('server_version_num')::int, d.datname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
  'c',                                   -- before 15
  d.datlocprovider::text,                -- since 15
  '',                                    -- before 15
  coalesce(d.daticulocale, ''),          -- since 15 -- before 17
  coalesce(d.datlocale, ''),             -- since 17
  (SELECT count(*) FROM pg_largeobject_metadata),
  (SELECT count(*) FROM pg_largeobject_metadata l
    WHERE current_setting('is_superuser') = 'off' AND current_setting('lo_compat_privileges') = 'off' AND NOT pg_has_role(l.lomowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a WHERE a.privilege_type = 'SELECT'
      AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))),
  pg_database_size(d.oid), current_setting('block_size')::int
FROM pg_database d WHERE d.datname = current_database()

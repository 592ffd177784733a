SELECT current_setting('server_version_num')::int, d.datname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
  'c',                                   -- before 15
  d.datlocprovider::text,                -- since 15
  '',                                    -- before 15
  coalesce(d.daticulocale, ''),          -- since 15 -- before 17
  coalesce(d.datlocale, ''),             -- since 17
  (SELECT count(*) FROM pg_largeobject_metadata)
FROM pg_database d WHERE d.datname = current_database()

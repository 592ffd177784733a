SELECT r.ident || '.' || quote_ident(p.polname), concat_ws(' ', p.polcmd, CASE WHEN NOT p.polpermissive THEN 'RESTRICTIVE' END,
  'TO ' || (SELECT string_agg(CASE WHEN u.role = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(u.role)) END, ', ' ORDER BY pg_get_userbyid(u.role)) FROM unnest(p.polroles) u (role)),
  'USING ' || pg_get_expr(p.polqual, p.polrelid), 'CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN rel r ON r.oid = p.polrelid

SELECT r.ident || '.' || quote_ident(w.rulename), w.ev_type::text || ' ' || w.ev_enabled::text
FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'

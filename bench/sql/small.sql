-- 100 small tables with 200 rows each, as lookups and settings are.
SELECT setseed(0.42);
DO $$
BEGIN
  FOR i IN 1..100 LOOP
    EXECUTE format('CREATE TABLE lookup_%s (id int PRIMARY KEY, name text NOT NULL, weight numeric(8,2), at timestamptz)', i);
    EXECUTE format('INSERT INTO lookup_%s SELECT n, ''value '' || n, random() * 100, ''2026-01-01''::timestamptz + n * interval ''1 hour'' FROM generate_series(1, 200) n', i);
  END LOOP;
END $$;

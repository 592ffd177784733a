-- +goose Up

-- When a person asked: what tells one such request from the next. at says how
-- new the commit is. Null: nobody did, or an older version has put it into at.
ALTER TABLE sync_run ADD COLUMN asked_at timestamptz;

-- A payload is written once, read once and deleted after days. To compress it
-- takes longer than all the rest of storing it.
ALTER TABLE webhook_delivery ALTER COLUMN payload SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE webhook_delivery ALTER COLUMN payload SET STORAGE EXTENDED;
ALTER TABLE sync_run DROP COLUMN asked_at;

-- +goose Up

-- A repository that GitHub does not show, though its installation is there:
-- since when, how often it has said so, and when last. A few wrong answers must
-- not end its runs.
ALTER TABLE repository
    ADD COLUMN unseen_since timestamptz,
    ADD COLUMN unseen_often int NOT NULL DEFAULT 0,
    ADD COLUMN unseen_at timestamptz;

-- +goose Down
ALTER TABLE repository DROP COLUMN unseen_since, DROP COLUMN unseen_often, DROP COLUMN unseen_at;

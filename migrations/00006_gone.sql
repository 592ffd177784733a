-- +goose Up

-- An installation that GitHub says is gone, since when it has said so and how
-- often. A few wrong answers must not cost a tenant its data.
CREATE TABLE installation_gone (
    installation_id bigint PRIMARY KEY,
    since           timestamptz NOT NULL DEFAULT now(),
    said            int NOT NULL DEFAULT 1,
    seen_at         timestamptz NOT NULL DEFAULT now() -- when it was last said
);

-- +goose Down
DROP TABLE installation_gone;

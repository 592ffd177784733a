-- +goose Up

-- An installation that GitHub says is gone, and since when it has said so. One
-- wrong answer must not cost a tenant its data.
CREATE TABLE installation_gone (
    installation_id bigint PRIMARY KEY,
    since           timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now() -- when it was last said
);

-- +goose Down
DROP TABLE installation_gone;

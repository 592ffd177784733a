-- +goose Up

-- A target that a run has begun to load. The row goes when a run of it has
-- published, or when somebody has looked for what was left half loaded there.
-- It is kept apart from Twins and runs: it outlives those of a tenant that is
-- purged, and names nothing but what the operator wrote.
CREATE TABLE loading_target (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target       text NOT NULL UNIQUE,
    generation   text NOT NULL,            -- of the latest attempt, as in sync_run
    tries        integer NOT NULL DEFAULT 0,
    clean_at     timestamptz NOT NULL DEFAULT now(),
    river_job_id bigint,
    error        text                      -- of the latest try
);

-- +goose Down
DROP TABLE loading_target;

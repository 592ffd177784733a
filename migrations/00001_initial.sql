-- +goose Up

-- A webhook as it came in. The row and its River job are written in one
-- transaction, so a delivery that was answered 2xx is never lost.
CREATE TABLE webhook_delivery (
    guid            text PRIMARY KEY,      -- GitHub's; a redelivery keeps it
    event           text NOT NULL,
    action          text NOT NULL,
    installation_id bigint NOT NULL,       -- 0 where the event names none
    repository_id   bigint NOT NULL,
    payload         bytea NOT NULL,        -- not jsonb, which refuses \u0000
    received_at     timestamptz NOT NULL DEFAULT now(),
    river_job_id    bigint,
    processed_at    timestamptz,
    reason          text,                  -- why no run was asked for
    error           text                   -- of the latest attempt to process it
);
CREATE INDEX webhook_delivery_unprocessed ON webhook_delivery (received_at) WHERE processed_at IS NULL;

-- A Twin of a repository. Its row is the lock under which its runs change state.
CREATE TABLE twin (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation_id bigint NOT NULL,
    repository_id   bigint NOT NULL,
    owner           text NOT NULL,         -- for display: ids are what counts
    repository_name text NOT NULL,
    default_branch  text NOT NULL,
    name            text NOT NULL,
    target          text UNIQUE,           -- the one this Twin holds; no other Twin may fill it
    config          jsonb NOT NULL,        -- as of the newest accepted commit
    config_sha      text NOT NULL,
    paused_at       timestamptz,
    sched_local_time time,
    sched_tz        text,
    sched_days      smallint,
    next_run_at     timestamptz,
    last_sched_date date,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (repository_id, name)
);
CREATE INDEX twin_due ON twin (next_run_at) WHERE paused_at IS NULL;

-- Numbers every claim of a run. The highest one wins: it fences all earlier ones.
CREATE SEQUENCE lease_token_seq;

CREATE TABLE sync_run (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    twin_id         bigint NOT NULL REFERENCES twin,
    page_key        text NOT NULL UNIQUE,  -- unguessable: who knows it may read the run's page
    trigger         text NOT NULL,
    ref             text NOT NULL,
    sha             text NOT NULL,
    pr              integer NOT NULL DEFAULT 0,
    at              timestamptz NOT NULL,  -- when the branch moved to the commit: what orders runs
    spec            jsonb NOT NULL,
    target          text NOT NULL,

    state           text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'superseded')),
    attempt         integer NOT NULL DEFAULT 0,
    max_attempts    integer NOT NULL,
    not_before      timestamptz,
    river_job_id    bigint,                -- the only job that may claim the run

    lease_owner     text,                  -- null: given back, the attempt does not count
    lease_token     bigint,
    lease_expires_at timestamptz,
    generation      text,                  -- the lease token as it stands in names on the target
    cancel_requested_at timestamptz,

    phase           text,
    progress        jsonb,
    report          jsonb,
    failure         jsonb,
    superseded_by   bigint REFERENCES sync_run,

    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,

    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL))
);
-- At most one run of a Twin runs, at most one waits; nor do two runs fill one target.
CREATE UNIQUE INDEX sync_run_running ON sync_run (twin_id) WHERE state = 'running';
CREATE UNIQUE INDEX sync_run_queued ON sync_run (twin_id) WHERE state = 'queued';
CREATE UNIQUE INDEX sync_run_target ON sync_run (target) WHERE state = 'running';
CREATE INDEX sync_run_fact ON sync_run (twin_id, sha);
CREATE INDEX sync_run_order ON sync_run (twin_id, at);
CREATE INDEX sync_run_lease ON sync_run (lease_expires_at) WHERE state = 'running';

-- What a person may read about how a run went. Append-only.
CREATE TABLE sync_run_event (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id  bigint NOT NULL REFERENCES sync_run ON DELETE CASCADE,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    level   text NOT NULL CHECK (level IN ('info', 'warn', 'error')),
    phase   text NOT NULL DEFAULT '',
    message text NOT NULL
);
CREATE INDEX sync_run_event_run ON sync_run_event (run_id, id);

-- An outbox: what has been said about a run on one commit, and whether there
-- is more to say. The text is not here: the run is read when it is told.
CREATE TABLE check_publication (
    run_id          bigint NOT NULL REFERENCES sync_run ON DELETE CASCADE,
    sha             text NOT NULL,
    role            text NOT NULL CHECK (role IN ('head', 'merge')),
    pr              integer NOT NULL DEFAULT 0,
    check_run_id    bigint NOT NULL DEFAULT 0,  -- 0: none known yet
    wanted_version  bigint NOT NULL DEFAULT 1,
    posted_version  bigint NOT NULL DEFAULT 0,
    posting_until   timestamptz,                -- held by one publisher until then
    unreachable_at  timestamptz,                -- it can't be told any more
    last_error      text,
    river_job_id    bigint,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, sha)
);
CREATE INDEX check_publication_open ON check_publication (updated_at)
    WHERE wanted_version > posted_version AND unreachable_at IS NULL;

-- Which repository the operator's word "owner/name" means. Pinned when it is
-- first seen, so that a later repository of that name inherits nothing.
CREATE TABLE repository_binding (
    full_name     text PRIMARY KEY CHECK (full_name = lower(full_name)),
    repository_id bigint NOT NULL,
    bound_at      timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE repository_binding, check_publication, sync_run_event, sync_run, twin, webhook_delivery;
DROP SEQUENCE lease_token_seq;

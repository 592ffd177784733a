-- +goose Up

-- A repository that Twins follow, or that the operator gave something, as
-- GitHub showed it when it was last looked at.
CREATE TABLE repository (
    id              bigint PRIMARY KEY,
    installation_id bigint NOT NULL,
    owner           text NOT NULL,
    name            text NOT NULL,
    default_branch  text NOT NULL,
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'archived', 'lost', 'removed')),
    look_at         timestamptz NOT NULL DEFAULT now(),
    looked_at       timestamptz
);
CREATE INDEX repository_look ON repository (look_at);
CREATE INDEX repository_installation ON repository (installation_id);

-- What has been decided about: a branch that was moved to a commit, by a push
-- (pr 0) or by a merged pull request. What GitHub shows and is not here was
-- told by no webhook.
CREATE TABLE judged (
    repository_id bigint NOT NULL,
    ref           text NOT NULL,
    sha           text NOT NULL,
    pr            integer NOT NULL,
    at            timestamptz NOT NULL,
    judged_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository_id, ref, pr, sha)
);
CREATE INDEX judged_at ON judged (judged_at);

-- A webhook that GitHub could not deliver, and how often it was asked for again.
CREATE TABLE missed_delivery (
    guid            text PRIMARY KEY,
    attempt_id      bigint NOT NULL,       -- the latest attempt: asking for it again names it
    event           text NOT NULL,
    action          text NOT NULL,
    installation_id bigint NOT NULL,
    at              timestamptz NOT NULL,  -- of the earliest attempt that was seen
    tries           integer NOT NULL DEFAULT 0,
    ask_at          timestamptz NOT NULL DEFAULT now(),
    error           text
);

-- What one process at a time does from time to time.
CREATE TABLE chore (
    name       text PRIMARY KEY,
    next_at    timestamptz NOT NULL DEFAULT now(),
    held_until timestamptz,                -- by the process that is at it
    point      timestamptz                 -- how far it has come
);

-- A Twin whose repository is out of reach: no schedule starts a run.
ALTER TABLE twin ADD COLUMN pause_reason text;
-- It was ended because its repository is not ours to see any more. Should that
-- come back, its commit is decided about anew.
ALTER TABLE sync_run ADD COLUMN released boolean NOT NULL DEFAULT false;
-- How often an unreachable place was given another chance when access came back.
ALTER TABLE check_publication ADD COLUMN revivals integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE check_publication DROP COLUMN revivals;
ALTER TABLE sync_run DROP COLUMN released;
ALTER TABLE twin DROP COLUMN pause_reason;
DROP TABLE chore, missed_delivery, judged, repository;

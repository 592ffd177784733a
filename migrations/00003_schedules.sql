-- +goose Up

-- What a repository's file on its default branch says is known as of a commit.
-- The row is also the lock under which the file's Twins are changed.
CREATE TABLE repository_file (
    repository_id bigint PRIMARY KEY,
    sha         text NOT NULL,
    at          timestamptz NOT NULL,  -- when the branch moved to it: what orders commits
    forced_from text                   -- as in sync_run
);

-- A schedule's date whose run has not been asked for yet, and the job that asks.
ALTER TABLE twin ADD COLUMN due_date date, ADD COLUMN due_job_id bigint;
CREATE INDEX twin_due_date ON twin (due_date) WHERE due_date IS NOT NULL;

ALTER TABLE sync_run
    -- The branch need not have come here by new commits: it was moved here from
    -- that commit, perhaps back. Empty: from an unknown one. Null: it was not so.
    ADD COLUMN forced_from text,
    -- A pull request whose head came with a push, perhaps below others: its time
    -- is that at which GitHub noticed.
    ADD COLUMN indirect boolean NOT NULL DEFAULT false,
    -- A newer commit's run, which waits, has asked for this one's end.
    ADD COLUMN give_way boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE sync_run DROP COLUMN forced_from, DROP COLUMN indirect, DROP COLUMN give_way;
ALTER TABLE twin DROP COLUMN due_date, DROP COLUMN due_job_id;
DROP TABLE repository_file;

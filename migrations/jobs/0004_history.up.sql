-- One row for each attempt at a job that asks for it: .history = true.
CREATE TABLE prong_job_history (
    job_id      uuid NOT NULL,
    name        text NOT NULL,
    queue       text NOT NULL,
    key         text, -- NULL: none
    attempt     integer NOT NULL,
    outcome     text NOT NULL,
    error       jsonb, -- {"code":…,"message":…}
    enqueued_at timestamptz NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    worker      text NOT NULL,
    PRIMARY KEY (job_id, started_at)
);
CREATE INDEX prong_job_history_finished_at ON prong_job_history (finished_at);

-- Jobs whose effects were committed together with their row here: prong_job_done().
CREATE TABLE prong_finished_jobs (
    id          uuid PRIMARY KEY,
    finished_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX prong_finished_jobs_finished_at ON prong_finished_jobs (finished_at);

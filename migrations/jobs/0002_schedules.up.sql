-- How far each schedule is. A tick is run by whoever moves last_tick from the tick before.
CREATE TABLE prong_schedules (
    name      text PRIMARY KEY,
    plan      text NOT NULL,        -- when it ticked, by whoever ticked last: one that has changed starts anew
    last_tick timestamptz NOT NULL, -- nothing up to here is run any more
    paused    boolean NOT NULL DEFAULT false,
    last_run  timestamptz,          -- the last tick that was run; NULL: none yet
    last_job  uuid                  -- the job that it enqueued
);

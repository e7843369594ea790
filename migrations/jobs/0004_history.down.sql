DROP TABLE prong_job_history;

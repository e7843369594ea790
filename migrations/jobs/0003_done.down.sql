DROP TABLE prong_finished_jobs;

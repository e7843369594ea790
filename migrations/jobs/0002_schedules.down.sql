DROP TABLE prong_schedules;

DROP TABLE prong_sessions;

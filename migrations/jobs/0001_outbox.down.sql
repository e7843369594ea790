DROP TABLE prong_outbox;

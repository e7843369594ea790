DROP TABLE prong_secrets;

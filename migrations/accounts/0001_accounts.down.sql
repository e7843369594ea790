DROP TABLE prong_accounts;

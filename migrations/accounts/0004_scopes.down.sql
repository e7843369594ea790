ALTER TABLE prong_accounts DROP COLUMN scopes;

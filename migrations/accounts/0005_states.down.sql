ALTER TABLE prong_accounts
    DROP COLUMN name, DROP COLUMN epoch, DROP COLUMN email_verified_at, DROP COLUMN password_changed_at,
    DROP COLUMN disabled_at, DROP COLUMN delete_after;

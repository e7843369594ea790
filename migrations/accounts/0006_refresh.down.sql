DROP TABLE prong_revocations;
DROP INDEX prong_sessions_expires_at;
ALTER TABLE prong_sessions
    DROP COLUMN authenticated_at, DROP COLUMN used_at, DROP COLUMN revoked_at, DROP COLUMN revoked_for,
    DROP COLUMN is_cookie, DROP COLUMN device, DROP COLUMN address, DROP COLUMN refresh_hash,
    DROP COLUMN previous_hash, DROP COLUMN rotated_at, DROP COLUMN rotation_salt;

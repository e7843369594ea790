CREATE TABLE prong_api_keys (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES prong_accounts ON DELETE CASCADE,
    name         text NOT NULL,
    hash         bytea NOT NULL UNIQUE, -- SHA-256 of the whole key
    hint         text NOT NULL,         -- its last characters, to tell keys apart
    scopes       text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX prong_api_keys_name ON prong_api_keys (account_id, name) WHERE revoked_at IS NULL;

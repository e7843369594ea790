-- One-time secrets that went out by mail. Each serves one purpose, once.
CREATE TABLE prong_secrets (
    hash       bytea PRIMARY KEY, -- SHA-256
    purpose    text NOT NULL,
    account_id uuid NOT NULL REFERENCES prong_accounts ON DELETE CASCADE,
    address    text, -- the new one, where it is about one
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX prong_secrets_account_id ON prong_secrets (account_id);
CREATE INDEX prong_secrets_expires_at ON prong_secrets (expires_at);

CREATE TABLE prong_sessions (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES prong_accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL -- of the last token issued for it
);
CREATE INDEX prong_sessions_account_id ON prong_sessions (account_id);

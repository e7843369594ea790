-- A session is a family of refresh tokens: one is current, the one before it is good for a moment longer, any other ends
-- the session. `expires_at` is its end however it is used; sessions from before have no refresh token and end with it.
ALTER TABLE prong_sessions
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(), -- when the password was proven
    ADD COLUMN used_at          timestamptz NOT NULL DEFAULT now(), -- its last refresh
    ADD COLUMN revoked_at       timestamptz,
    ADD COLUMN revoked_for      text,
    ADD COLUMN is_cookie        boolean NOT NULL DEFAULT false,
    ADD COLUMN device           text, -- User-Agent, shortened
    ADD COLUMN address          text, -- of the client, at sign-in or its last refresh
    ADD COLUMN refresh_hash     bytea, -- SHA-256, as the next
    ADD COLUMN previous_hash    bytea,
    ADD COLUMN rotated_at       timestamptz,
    ADD COLUMN rotation_salt    bytea; -- from it and the previous token the current one is made again
CREATE INDEX prong_sessions_expires_at ON prong_sessions (expires_at);

-- What made access tokens and API keys void before their time, for processes to catch up. `epoch` NULL: all of the
-- subject, a session, an account or an API key; else those of the account's earlier epochs.
CREATE TABLE prong_revocations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    uuid NOT NULL,
    epoch      integer,
    revoked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX prong_revocations_revoked_at ON prong_revocations (revoked_at);

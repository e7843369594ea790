CREATE TABLE prong_signing_keys (
    id            text PRIMARY KEY, -- the public key's thumbprint (RFC 7638), the tokens' kid
    algorithm     text NOT NULL,
    public_key    bytea NOT NULL,
    sealed_secret bytea NOT NULL,   -- under a key derived from PRONG_SECRET
    created_at    timestamptz NOT NULL DEFAULT now(),
    is_current    boolean NOT NULL  -- signs; the others only verify
);
CREATE UNIQUE INDEX prong_signing_keys_current ON prong_signing_keys (is_current) WHERE is_current;

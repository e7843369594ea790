CREATE TABLE prong_accounts (
    id               uuid PRIMARY KEY,
    email            text NOT NULL,        -- as it was given: where mail is sent
    email_normalised text NOT NULL UNIQUE, -- what makes two addresses the same
    password_hash    text NOT NULL,        -- a PHC string
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

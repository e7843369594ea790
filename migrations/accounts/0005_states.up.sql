-- What an account is, beside its address and password. `epoch` is in its access tokens: those of an earlier one are void.
ALTER TABLE prong_accounts
    ADD COLUMN name                text, -- for people; NULL: none
    ADD COLUMN epoch               integer NOT NULL DEFAULT 0,
    ADD COLUMN email_verified_at   timestamptz,
    ADD COLUMN password_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN disabled_at         timestamptz,
    ADD COLUMN delete_after        timestamptz; -- its owner has asked for it
CREATE INDEX prong_accounts_delete_after ON prong_accounts (delete_after) WHERE delete_after IS NOT NULL;

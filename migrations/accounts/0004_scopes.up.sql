-- Names such as "admin", which an account's access tokens carry in their claim `scope` with spaces between: a name has
-- none, so that no name can pass for two.
ALTER TABLE prong_accounts
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{}'
    CONSTRAINT prong_accounts_scopes CHECK (
        array_to_string(scopes, ',', '?') ~ '^([A-Za-z0-9._:-]+(,[A-Za-z0-9._:-]+)*)?$'
        AND '' <> ALL (scopes)
        AND length(array_to_string(scopes, ',', '?')) <= 1024);

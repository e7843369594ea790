-- Who did what, when, from where, and with what result. It is only added to; rows leave when they are old. Accounts may
-- be gone while what they did is still here, so nothing references them.
CREATE TABLE prong_audit (
    id         uuid PRIMARY KEY, -- version 7: in the order of time
    at         timestamptz NOT NULL DEFAULT now(),
    account_id uuid,             -- whom it is about; NULL: no such account
    actor      text NOT NULL,    -- the account's id, 'command line', or 'system'
    action     text NOT NULL,
    result     text NOT NULL,    -- 'ok', or why not
    address    text,
    device     text,
    request_id text,
    detail     jsonb
);
CREATE INDEX prong_audit_account_id ON prong_audit (account_id, id);
CREATE INDEX prong_audit_at ON prong_audit (at);

CREATE FUNCTION prong_audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'prong_audit is only added to';
END $$;
CREATE TRIGGER prong_audit_keep BEFORE UPDATE OR DELETE ON prong_audit
    FOR EACH ROW EXECUTE FUNCTION prong_audit_keep();
CREATE TRIGGER prong_audit_keep_all BEFORE TRUNCATE ON prong_audit
    FOR EACH STATEMENT EXECUTE FUNCTION prong_audit_keep();

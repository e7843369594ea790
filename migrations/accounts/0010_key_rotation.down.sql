-- What comes before knows one algorithm; without a key it makes one.
DELETE FROM prong_signing_keys WHERE algorithm <> 'EdDSA';
ALTER TABLE prong_signing_keys ADD COLUMN is_current boolean NOT NULL DEFAULT false;
ALTER TABLE prong_signing_keys ALTER COLUMN is_current DROP DEFAULT;
UPDATE prong_signing_keys SET is_current = true
    WHERE id = (SELECT id FROM prong_signing_keys ORDER BY active_from <= now() DESC, active_from DESC, id DESC LIMIT 1);
CREATE UNIQUE INDEX prong_signing_keys_current ON prong_signing_keys (is_current) WHERE is_current;
ALTER TABLE prong_signing_keys DROP COLUMN active_from, DROP COLUMN follows;

-- Keys take turns: the one whose active_from came last signs, those before it verify until they are deleted, one that is
-- yet to come is known everywhere before it signs. `follows` is the key before it, '' of the first: unique, so that one
-- key follows another however many processes make one at once.
ALTER TABLE prong_signing_keys ADD COLUMN active_from timestamptz, ADD COLUMN follows text;
UPDATE prong_signing_keys AS own SET active_from = turns.active_from, follows = turns.follows
    FROM (SELECT id, coalesce(lag(id) OVER turn, '') AS follows,
                 CASE WHEN is_current THEN max(created_at) OVER () + interval '1 microsecond' ELSE created_at END AS active_from
          FROM prong_signing_keys WINDOW turn AS (ORDER BY is_current, created_at, id)) AS turns
    WHERE own.id = turns.id;
ALTER TABLE prong_signing_keys
    ALTER COLUMN active_from SET NOT NULL,
    ALTER COLUMN follows SET NOT NULL,
    ADD CONSTRAINT prong_signing_keys_follows UNIQUE (follows),
    DROP COLUMN is_current;

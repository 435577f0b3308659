-- A link by which somebody signs in is dead with the epochs it was made under. A set-up link's secret is kept sealed, so
-- that every node prints the same link.

ALTER TABLE link ADD COLUMN org_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN usr_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN sealed BYTEA;

-- One telephone number, one chart. A merchant's country is where numbers are read;
-- '' is that of its time zone. Keys that a server of an earlier release has made are
-- not normalized, and booking/number.go looks at them.

-- +goose Up

ALTER TABLE merchants ADD COLUMN country TEXT NOT NULL DEFAULT '';
-- By which country and time zone the keys of its numbers are normalized.
ALTER TABLE merchants ADD COLUMN numbers_read_in TEXT NOT NULL DEFAULT '';
UPDATE merchants SET numbers_read_in = country || ' ' || time_zone;

ALTER TABLE guest_keys ADD COLUMN normalized BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX guest_keys_raw ON guest_keys (merchant_id, key) WHERE NOT normalized AND substr(key, 1, 6) = 'phone:';

-- The chart that this one turned out to be another of; NULL: it is a chart itself.
ALTER TABLE guests ADD COLUMN joined_to UUID;
CREATE INDEX guests_joined ON guests (joined_to) WHERE joined_to IS NOT NULL;

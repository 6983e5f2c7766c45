-- Working hours of staff, keys of clinics, personal data that ends.

-- +goose Up

ALTER TABLE staff ADD COLUMN timetable TEXT;                           -- JSON; NULL is whenever the clinic is open
ALTER TABLE staff ADD COLUMN closed_days TEXT NOT NULL DEFAULT 'null'; -- JSON

-- Which of a clinic's keys was used, and keys that end.
ALTER TABLE booking_events ADD COLUMN key_id TEXT NOT NULL DEFAULT ''; -- of the clinic's key, if the desk did it
ALTER TABLE clinic_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE clinic_keys ADD COLUMN used_sec BIGINT;                    -- when it was last exchanged; NULL is never
ALTER TABLE clinic_keys ADD COLUMN expires_sec BIGINT;                 -- when it has been replaced; NULL is never
ALTER TABLE clinic_keys ADD COLUMN revoked_sec BIGINT;
ALTER TABLE clinic_tokens ADD COLUMN key_digest BYTEA;                 -- NULL: given before keys were noted

-- Personal data that has been taken out.
ALTER TABLE bookings ADD COLUMN erased_sec BIGINT NOT NULL DEFAULT 0;  -- 0 is not
CREATE INDEX bookings_unerased ON bookings (end_sec) WHERE erased_sec = 0;
CREATE INDEX guest_keys_guest ON guest_keys (guest_id);

-- What outlived its erasure: the digests of requests, from which a telephone
-- number can be found by trial, and whether a guest needs sedation. And what a
-- merchant's catalogue had once.

-- +goose Up

-- An erased booking's token is found by this.
CREATE INDEX idempotency_tokens_booking ON idempotency_tokens (booking_id);

UPDATE idempotency_tokens SET fingerprint = '' WHERE booking_id IN (SELECT id FROM bookings WHERE erased_sec <> 0);
UPDATE bookings SET sedation_required = NULL WHERE erased_sec <> 0 AND sedation_required IS NOT NULL;
UPDATE booking_events SET
    before = replace(replace(before, '"sedation_required":true', '"sedation_required":null'), '"sedation_required":false', '"sedation_required":null'),
    after  = replace(replace(after, '"sedation_required":true', '"sedation_required":null'), '"sedation_required":false', '"sedation_required":null')
    WHERE booking_id IN (SELECT id FROM bookings WHERE erased_sec <> 0);

-- What guests could ask for until an import took it away: to ask for it is no
-- mistake. Kinds as in inventory.Former.
CREATE TABLE former_catalogue (
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    kind        TEXT NOT NULL,
    service_id  TEXT NOT NULL, -- '' is any
    value       TEXT NOT NULL,
    removed_sec BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, kind, service_id, value)
);

-- The clinic's name of a guest, offers, and what visits cost.

-- +goose Up

-- Guests that are there already get a name made of their id.
ALTER TABLE guests ADD COLUMN visitor_id TEXT NOT NULL DEFAULT '';
UPDATE guests SET visitor_id = substr(replace(CAST(id AS TEXT), '-', ''), 9, 24);
CREATE UNIQUE INDEX guests_visitor ON guests (merchant_id, visitor_id);

CREATE TABLE offers (
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    id          TEXT NOT NULL,
    position    INTEGER NOT NULL,
    service_ids TEXT NOT NULL, -- JSON; [] is any service
    first_date  TEXT NOT NULL, -- '' is any day
    last_date   TEXT NOT NULL,
    uses        INTEGER CHECK (uses >= 0), -- NULL is any number
    PRIMARY KEY (merchant_id, id)
);
ALTER TABLE bookings ADD COLUMN offer_id TEXT NOT NULL DEFAULT '';

ALTER TABLE services ADD COLUMN charges TEXT NOT NULL DEFAULT '{}'; -- JSON
ALTER TABLE slots ADD COLUMN charges TEXT; -- JSON; NULL is those of the service

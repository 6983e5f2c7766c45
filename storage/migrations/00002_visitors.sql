-- The clinic's name of a guest. Those that are there already get one made of
-- their id.

-- +goose Up

ALTER TABLE guests ADD COLUMN visitor_id TEXT NOT NULL DEFAULT '';
UPDATE guests SET visitor_id = substr(replace(CAST(id AS TEXT), '-', ''), 9, 24);
CREATE UNIQUE INDEX guests_visitor ON guests (merchant_id, visitor_id);

-- Times that the desk blocks. A hold that blocks takes no spots, it closes its
-- slots; a slot counts the blocks on it.

-- +goose Up

ALTER TABLE slots ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked >= 0);
ALTER TABLE holds ADD COLUMN block BOOLEAN NOT NULL DEFAULT FALSE;

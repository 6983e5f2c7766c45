-- What rows of a feed share, and how much of a clinic's zone may be taken at once.

-- +goose Up

-- The published resources and lanes that share a person, a room, an area, a chair or
-- a zone. A share is a resource itself, whose slots are only locked.
CREATE TABLE resource_shares (
    share_id     UUID NOT NULL REFERENCES resources (id),
    resource_id  UUID NOT NULL REFERENCES resources (id),
    kind         TEXT NOT NULL,
    slot_seconds BIGINT NOT NULL,  -- of the resource
    party_size   INTEGER NOT NULL, -- of the resource's rows; 0 is none
    PRIMARY KEY (share_id, resource_id)
);

ALTER TABLE slots ADD COLUMN spots_total INTEGER;               -- of a published slot, as the feed has it; NULL: not known
ALTER TABLE slots ADD COLUMN known INTEGER NOT NULL DEFAULT 0;  -- taken of it when its feed was generated
ALTER TABLE slots ADD COLUMN excess INTEGER NOT NULL DEFAULT 0; -- the most that was taken at once of what it shares, if that was too much then

ALTER TABLE merchants ADD COLUMN sharing TEXT NOT NULL DEFAULT '';            -- of a feed's rows: '', shared or independent
ALTER TABLE merchants ADD COLUMN chairs BOOLEAN NOT NULL DEFAULT FALSE;       -- some rows without resources have had one spot

ALTER TABLE zones ADD COLUMN capacity INTEGER;                  -- visits at a time over all groups; NULL is what the groups have
ALTER TABLE zones ADD COLUMN excess INTEGER NOT NULL DEFAULT 0; -- the most that was taken at once to come when the catalogue was imported,
ALTER TABLE zones ADD COLUMN since_sec BIGINT NOT NULL DEFAULT 0; -- if that was too much, and when that was

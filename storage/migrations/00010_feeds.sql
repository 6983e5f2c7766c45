-- What a feed says, so that a repeat of the last one is known from another one
-- that claims to be as old, and which feed named a merchant, and its services,
-- last: what a complete feed does not name is withdrawn.

-- +goose Up

ALTER TABLE feeds ADD COLUMN digest TEXT NOT NULL DEFAULT '';

ALTER TABLE merchants ADD COLUMN named_sec BIGINT NOT NULL DEFAULT 0;

ALTER TABLE merchants ADD COLUMN services_sec BIGINT NOT NULL DEFAULT 0;

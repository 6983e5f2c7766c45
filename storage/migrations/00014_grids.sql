-- Where the slots of a group begin, and in what steps its lanes are counted. '' and
-- 0 are what every group had before: slots counted from midnight of standard time,
-- and lanes counted in slots.

-- +goose Up

ALTER TABLE groups ADD COLUMN grid TEXT NOT NULL DEFAULT '';
ALTER TABLE groups ADD COLUMN step_sec BIGINT NOT NULL DEFAULT 0;

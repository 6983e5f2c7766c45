-- Which programs work on this schema, so that servers of the release before can start
-- on it while an upgrade is under way: those that know at least schema `oldest`. A
-- migration that takes something away raises it.

-- +goose Up

CREATE TABLE schema_compatibility (oldest BIGINT PRIMARY KEY);

INSERT INTO schema_compatibility (oldest) VALUES (16);

-- Which databases this one was copied to, or from: see storage/copy.go. The triggers that
-- keep others from writing while, and after, a database is copied are made by that command.

-- +goose Up

CREATE TABLE copies (
    id           UUID NOT NULL,   -- of the copying, the same on both sides
    role         TEXT NOT NULL,   -- of this database: source or target
    other        TEXT NOT NULL,   -- the other database, without user and password
    started_sec  BIGINT NOT NULL,
    finished_sec BIGINT,          -- NULL: under way
    PRIMARY KEY (id, role)
);

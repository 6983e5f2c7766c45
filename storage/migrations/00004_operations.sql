-- Working hours of staff.

-- +goose Up

ALTER TABLE staff ADD COLUMN timetable TEXT;                           -- JSON; NULL is whenever the clinic is open
ALTER TABLE staff ADD COLUMN closed_days TEXT NOT NULL DEFAULT 'null'; -- JSON

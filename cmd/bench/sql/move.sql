-- update-reservation as a textbook would do it: a visit of one stretch goes to
-- another time on its lane.
\set b random(0, :movable - 1)
\set merchant :b / :blocks / :lanes_per_merchant
\set start :base + 1800 * (20 * random(0, :blocks - 1) + random(0, :per_block - 1))
BEGIN;
SELECT id AS booking, version + 1 AS version, extract(epoch FROM now())::bigint AS now FROM bookings
WHERE merchant_id = 'bench-' || :merchant AND schedule_id = lpad(to_hex(2 * :b::bigint), 24, '0') FOR NO KEY UPDATE \gset
SELECT resource_id AS resource, group_id AS "group", start_sec AS was FROM occupied_resources WHERE booking_id = :booking \gset
SELECT taken FROM slots WHERE resource_id = :resource AND start_sec IN (:was, :start) ORDER BY start_sec FOR NO KEY UPDATE;
UPDATE slots SET taken = taken - 1 WHERE resource_id = :resource AND start_sec = :was;
UPDATE slots SET taken = taken + 1 WHERE resource_id = :resource AND start_sec = :start;
UPDATE bookings SET version = :version, start_sec = :start, end_sec = :start::bigint + 1800 WHERE id = :booking;
UPDATE occupied_resources SET start_sec = :start, end_sec = :start::bigint + 1800 WHERE booking_id = :booking;
UPDATE holds SET start_sec = :start, end_sec = :start::bigint + 1800, since_sec = :now WHERE booking_id = :booking;
INSERT INTO booking_events (booking_id, version, at_sec, actor, action, before, after)
VALUES (:booking, :version, :now, 'desk', 'CHANGED',
	'{"end_sec":' || (:was::bigint + 1800) || ',"occupied_resources":[{"resource_id":"' || :resource || '","group_id":"' || :group
	|| '","zone_id":"65a000000000000000000001","start_sec":' || :was || ',"end_sec":' || (:was::bigint + 1800) || ',"spots":' || 1 || '}],"start_sec":' || :was || '}',
	'{"end_sec":' || (:start::bigint + 1800) || ',"occupied_resources":[{"resource_id":"' || :resource || '","group_id":"' || :group
	|| '","zone_id":"65a000000000000000000001","start_sec":' || :start || ',"end_sec":' || (:start::bigint + 1800) || ',"spots":' || 1 || '}],"start_sec":' || :start || '}');
INSERT INTO outbox (booking_id, version, topic, due_sec) VALUES (:booking, :version, 'booking', :now);
COMMIT;

-- The slots of lanes first to last, and their bookings: of twenty slots one is
-- full (one booking has all its room), and one has a visit that can be moved.
-- Constraints are checked but foreign keys: verify looks at those afterwards.
\set QUIET on
SET session_replication_role = replica;
SET synchronous_commit = off;
BEGIN;
INSERT INTO slots (resource_id, start_sec, offered, capacity, taken)
SELECT l.resource_id, :base + 1800 * s::bigint, :capacity, :capacity, CASE s % 20 WHEN 19 THEN :capacity WHEN 9 THEN 1 ELSE 0 END
FROM bench_lanes l, generate_series(0, :starts - 1) s WHERE l.lane BETWEEN :first AND :last ORDER BY l.lane, s;

CREATE TEMPORARY TABLE b ON COMMIT DROP AS
SELECT n, lane, resource_id, start_sec, start_sec + 1800 AS end_sec, spots, 'bench-' || lane / :lanes_per_merchant AS merchant_id,
	('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
	('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid AS guest_id,
	lpad(to_hex(n), 24, '0') AS hex, '65b' || lpad(lane::text, 21, '0') AS group_id, '65a000000000000000000001' AS zone_id
FROM (
	SELECT 2 * (l.lane::bigint * (:starts / 20) + s / 20) + (s % 20) / 19 AS n, l.lane, l.resource_id,
		:base + 1800 * s::bigint AS start_sec, CASE s % 20 WHEN 19 THEN :capacity ELSE 1 END AS spots
	FROM bench_lanes l, generate_series(9, :starts - 1, 10) s WHERE l.lane BETWEEN :first AND :last
) slot ORDER BY n;

INSERT INTO idempotency_tokens (caller, token, fingerprint, booking_id, created_sec)
SELECT 'loaded', 'token-' || n, sha256(hex::bytea), id, :now FROM b;
INSERT INTO guests (id, merchant_id, google_user_id, email, phone, given_name, family_name, created_sec, visitor_id)
SELECT guest_id, merchant_id, 'loaded-' || n, 'loaded' || n || '@example.com', '+82 11 ' || n, 'Ada', 'Lovell', :now, hex FROM b;
INSERT INTO guest_keys (merchant_id, key, guest_id)
SELECT merchant_id, key, guest_id
FROM b, LATERAL (VALUES ('email:loaded' || n || '@example.com'), ('phone:+8211' || n), ('user:loaded-' || n)) keys (key);
INSERT INTO bookings (id, schedule_id, merchant_id, service_id, guest_id, state, version, start_sec, end_sec, expires_sec,
	party_size, staff_id, room_id, availability_tag, confirmation_mode, contact, additional_request, zone_id, created_by, created_sec)
SELECT id, hex, merchant_id, 'service-' || lane, guest_id, 'CONFIRMED', 1, start_sec, end_sec, 0, 0, '', '', '', '',
	'{"user_id":"loaded-' || n || '","given_name":"Ada","family_name":"Lovell","telephone":"+82 11 ' || n || '","email":"loaded' || n || '@example.com"}',
	'', zone_id, 'guest', :now FROM b;
INSERT INTO occupied_resources (booking_id, seq, resource_id, group_id, zone_id, start_sec, end_sec, spots)
SELECT id, 0, resource_id, group_id, zone_id, start_sec, end_sec, spots FROM b;
INSERT INTO holds (booking_id, resource_id, start_sec, end_sec, spots, since_sec)
SELECT id, resource_id, start_sec, end_sec, spots, :now FROM b;
INSERT INTO booking_events (booking_id, version, at_sec, actor, action, before, after)
SELECT id, 1, :now, 'guest', 'CREATED', '{}', '{"end_sec":' || end_sec || ',"occupied_resources":[{"resource_id":"' || resource_id
	|| '","group_id":"' || group_id || '","zone_id":"' || zone_id || '","start_sec":' || start_sec || ',"end_sec":' || end_sec || ',"spots":' || spots
	|| '}],"service_id":"service-' || lane || '","start_sec":' || start_sec || ',"state":"CONFIRMED","zone_id":"' || zone_id || '"}' FROM b;
INSERT INTO outbox (booking_id, version, topic, due_sec) SELECT id, 1, 'booking', :now FROM b;
COMMIT;

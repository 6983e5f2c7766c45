-- CreateBooking as a textbook would do it: one transaction, one statement for
-- each step, the same rows of the same width as the server writes.
\set lane random(0, :lanes - 1)
\set merchant :lane / :lanes_per_merchant
\set start :base + 1800 * (20 * random(0, :blocks - 1) + random(0, :per_block - 1))
-- Telephone numbers of 13 digits, as the server is sent, and none of those.
\set n random(2000000000000, 9999999999999)
\set low random(1, 9000000000000000000)
\set low_guest random(1, 9000000000000000000)
BEGIN;
INSERT INTO idempotency_tokens (caller, token, fingerprint, booking_id, created_sec)
VALUES ('pgbench', 'token-' || :n || '-' || :low, '\x0dc527b508808d14242db546dbb7e3f3377f092d02afe91f670302be7c51edc8',
	(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0') || lpad(to_hex(:low::bigint), 16, '0'))::uuid,
	extract(epoch FROM now())::bigint)
ON CONFLICT DO NOTHING RETURNING booking_id AS id, created_sec AS now \gset
INSERT INTO guests (id, merchant_id, google_user_id, email, phone, given_name, family_name, created_sec, visitor_id)
VALUES ((lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0') || lpad(to_hex(:low_guest::bigint), 16, '0'))::uuid,
	'bench-' || :merchant, 'user-' || :n, 'john' || :n || '@example.com', '+82 10 ' || :n, 'John', 'Smith', :now,
	lpad(to_hex(:low_guest::bigint), 24, '0'))
RETURNING id AS guest \gset
INSERT INTO guest_keys (merchant_id, key, guest_id)
VALUES ('bench-' || :merchant, 'email:' || 'john' || :n || '@example.com', :guest::uuid),
	('bench-' || :merchant, 'phone:+8210' || :n, :guest::uuid), ('bench-' || :merchant, 'user:' || 'user-' || :n, :guest::uuid);
SELECT s.resource_id AS resource, s.capacity, s.taken FROM bench_lanes l JOIN slots s ON s.resource_id = l.resource_id
WHERE l.lane = :lane AND s.start_sec = :start FOR NO KEY UPDATE OF s \gset
UPDATE slots SET taken = taken + 1 WHERE resource_id = :resource AND start_sec = :start;
INSERT INTO bookings (id, schedule_id, merchant_id, service_id, guest_id, state, version, start_sec, end_sec, expires_sec,
	party_size, staff_id, room_id, availability_tag, confirmation_mode, contact, additional_request, zone_id, created_by, created_sec)
VALUES (:id, substr(replace(:id, '-', ''), 9, 24), 'bench-' || :merchant, 'service-' || :lane, :guest, 'CONFIRMED', 1,
	:start, :start::bigint + 1800, 0, 0, '', '', '', '',
	'{"user_id":"user-' || :n || '","given_name":"John","family_name":"Smith","telephone":"+82 10 ' || :n || '","email":"john' || :n || '@example.com"}',
	'', '65a000000000000000000001', 'guest', :now);
INSERT INTO occupied_resources (booking_id, seq, resource_id, group_id, zone_id, start_sec, end_sec, spots)
VALUES (:id, 0, :resource, '65b' || lpad(:lane, 21, '0'), '65a000000000000000000001', :start, :start::bigint + 1800, 1);
INSERT INTO holds (booking_id, resource_id, start_sec, end_sec, spots, since_sec)
VALUES (:id, :resource, :start, :start::bigint + 1800, 1, :now);
INSERT INTO booking_events (booking_id, version, at_sec, actor, action, before, after)
VALUES (:id, 1, :now, 'guest', 'CREATED', '{}',
	'{"end_sec":' || (:start::bigint + 1800) || ',"occupied_resources":[{"resource_id":"' || :resource || '","group_id":"65b' || lpad(:lane, 21, '0')
	|| '","zone_id":"65a000000000000000000001","start_sec":' || :start || ',"end_sec":' || (:start::bigint + 1800) || ',"spots":' || 1 || '}],"service_id":"service-' || :lane
	|| '","start_sec":' || :start || ',"state":"CONFIRMED","zone_id":"65a000000000000000000001"}');
INSERT INTO outbox (booking_id, version, topic, due_sec) VALUES (:id, 1, 'booking', :now);
COMMIT;

SELECT c.relname, c.relkind, pg_relation_size(c.oid)
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
WHERE t.relnamespace = 'public'::regnamespace AND t.relname IN ('slots', 'bookings', 'occupied_resources', 'holds',
	'guests', 'guest_keys', 'idempotency_tokens', 'booking_events', 'outbox')
ORDER BY t.relname, c.relkind DESC, c.relname;

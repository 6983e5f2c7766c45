-- The rows that transactions since :since have written, and their width.
SELECT 'idempotency_tokens', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM idempotency_tokens t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'guests', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM guests t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'guest_keys', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM guest_keys t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'slots', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM slots t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'bookings', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM bookings t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'occupied_resources', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM occupied_resources t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'holds', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM holds t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'booking_events', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM booking_events t WHERE xmin::text::bigint >= :since
UNION ALL SELECT 'outbox', count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM outbox t WHERE xmin::text::bigint >= :since;

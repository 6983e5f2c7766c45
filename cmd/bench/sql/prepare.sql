-- What pgbench knows lanes by; the server does not look at it.
CREATE TABLE bench_lanes AS
SELECT substr(ref, 4, 21)::int AS lane, id AS resource_id FROM resources WHERE merchant_id LIKE 'bench-%';
ALTER TABLE bench_lanes ADD PRIMARY KEY (lane);
ANALYZE bench_lanes;

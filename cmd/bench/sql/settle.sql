-- The hot slot never fills, and the first round does not pay for the load.
UPDATE slots SET offered = 100000000, capacity = 100000000
WHERE resource_id = (SELECT resource_id FROM bench_lanes WHERE lane = 0) AND start_sec = :base;
VACUUM (ANALYZE);
CHECKPOINT;

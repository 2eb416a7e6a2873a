-- A worker waits for the next wake, unless another does or a message waits for a worker.
-- KEYS: flag, waiting   ARGV: how long it is taken to wait (ms).   Answers 1 where it waits, else 0.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[1]) then return 1 end
return 0

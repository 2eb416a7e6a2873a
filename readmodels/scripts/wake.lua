-- Wakes the worker that waits for more; where none does, raises the flag, and where that was down, a message waits in
-- the queue: both or nothing.
-- KEYS: flag, queue, waiting, woken   ARGV: life of the flag and of a call (ms), message.
-- Answers 1 where a worker was called or a message sent, 0 where the flag was up.
if redis.call('DEL', KEYS[3]) == 1 then
    redis.call('LPUSH', KEYS[4], 1)
    redis.call('PEXPIRE', KEYS[4], ARGV[1])
    return 1
end
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1

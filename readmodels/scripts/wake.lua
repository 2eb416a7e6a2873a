-- Raises the wake's flag; where it was down, a message waits in the queue: both or nothing.
-- KEYS: flag, queue   ARGV: flag's life (ms), message.
-- Answers 1 where the message was sent, 0 where the flag was up.
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1

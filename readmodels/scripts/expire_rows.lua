-- Removes expired tombstones of one partition, a bounded number at a time.
-- KEYS: rows, tombstones, expiring   ARGV: the partition's entry in 'expiring', most rows
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
local following = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if following then
  redis.call('ZADD', KEYS[3], following, ARGV[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return 'ok'

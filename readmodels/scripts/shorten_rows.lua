-- The same for a partition's tombstones. KEYS: tombstones, expiring   ARGV: milliseconds, the partition's entry in 'expiring'
local time = redis.call('TIME')
local limit = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', limit), '+inf', 'LIMIT', 0, 1000)
if #late == 0 then return 'other' end
for _, id in ipairs(late) do redis.call('ZADD', KEYS[1], limit, id) end
redis.call('ZADD', KEYS[2], limit, ARGV[2])
return 'ok'

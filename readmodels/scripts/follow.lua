-- Has the changes of a partition kept for a while, and reads those since a position.
-- KEYS: marker, progress, rows, recent   ARGV: for how long (ms), the position
-- 'recent' is a sorted set: ids of the rows that were last changed, by position, which grows by one with each change;
-- the member '' stands at its floor: what was changed at or before that is not known any more. It begins at the time of
-- day in microseconds, so that positions of a set that expired, or was lost, are below the floor of the next.
-- Answers marker, progress, floor, last position, then per row its id, position and what is stored (false: nothing).
local marker, progress = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
-- While a bucket is emptied or filled, nothing is said of it.
if not progress then return {marker, false} end
if redis.call('EXISTS', KEYS[4]) == 0 then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], string.format('%d%06d', time[1], time[2]), '')
end
redis.call('PEXPIRE', KEYS[4], ARGV[1])
local floor = redis.call('ZSCORE', KEYS[4], '')
local answer = {marker, progress, floor, redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2]}
local found = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[2], '+inf', 'WITHSCORES')
for i = 1, #found, 2 do
  if found[i] ~= '' then
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = found[i + 1]
    answer[#answer + 1] = redis.call('HGET', KEYS[3], found[i])
  end
end
return answer

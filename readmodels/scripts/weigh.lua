-- Reads in one step what the rows of a partition say that its index and measures hold, and what these hold.
-- KEYS: marker, rows, index, measures   ARGV: most rows
-- Answers marker, the rows' entries, index members, measures (flat pairs); marker and 'large' where there are more rows.
local marker = redis.call('GET', KEYS[1])
if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[1]) then return {marker, 'large'} end
local entries = {}
for _, row in ipairs(redis.call('HVALS', KEYS[2])) do
  entries[#entries + 1] = string.sub(row, 7, 6 + (tonumber(string.sub(row, 1, 6)) or 0))
end
return {marker, entries, redis.call('ZRANGE', KEYS[3], 0, -1), redis.call('HGETALL', KEYS[4])}

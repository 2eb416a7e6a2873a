-- A tombstone whose name must not stay expires sooner. KEYS: document   ARGV: milliseconds it may still live
local value = redis.call('GET', KEYS[1])
if not value or string.find(value, '\n', 1, true) ~= #value then return 'other' end
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 'ok'

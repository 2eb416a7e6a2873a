-- Replaces a value only if it is still the expected one. KEYS: key   ARGV: expected ('' = none), value
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 'other' end
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'

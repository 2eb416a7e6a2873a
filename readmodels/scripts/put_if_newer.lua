-- Puts a value that begins with its version only over a lower or equal one (equal: same snapshot, looked at later).
-- KEYS: marker, key   ARGV: marker expected, version, value
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
if redis.call('GETRANGE', KEYS[2], 0, #ARGV[2] - 1) > ARGV[2] then return 'ok' end
redis.call('SET', KEYS[2], ARGV[3])
return 'ok'

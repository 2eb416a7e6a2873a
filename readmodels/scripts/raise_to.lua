-- Raises a whole number to at least the given one. KEYS: key   ARGV: number (below 2^53)
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 'ok'

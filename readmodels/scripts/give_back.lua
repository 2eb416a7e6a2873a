-- Gives back to limits what take.lua took. KEYS: limits, all in one slot   ARGV: microseconds to give back to each
redis.set_repl(redis.REPL_NONE) -- as in take.lua
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 1, #KEYS do
  local whole_at = tonumber(redis.call('GET', KEYS[i]) or 0) - ARGV[i]
  if whole_at > now then
    redis.call('SET', KEYS[i], string.format('%.0f', whole_at), 'PX', math.ceil((whole_at - now) / 1000))
  else
    redis.call('DEL', KEYS[i])
  end
end
return 1

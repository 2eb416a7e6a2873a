-- Takes one from each limit, or from none where one of them is used up (GCRA). What is kept of a limit is the time, in
-- microseconds of Redis's clock, at which it will be whole again; nothing is kept of one that is whole.
-- KEYS: limits, all in one slot   ARGV: for each, microseconds after which one is back, and after which all are
-- Answers 1 or 0: whether it took; then for each limit the microseconds until it is whole, and until one can be taken.
-- Limits come with every request: they are not worth a line in a file, or to a replica, which would cost more than they
-- do. After a restart or a fail-over all are whole.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local whole_at, is_taken = {}, 1
for i = 1, #KEYS do
  whole_at[i] = math.max(now, tonumber(redis.call('GET', KEYS[i]) or now))
  if whole_at[i] + ARGV[2 * i - 1] - ARGV[2 * i] > now then is_taken = 0 end
end
local answer = {is_taken}
for i = 1, #KEYS do
  local one, all = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if is_taken == 1 then
    whole_at[i] = whole_at[i] + one
    -- '%.0f': as text, Lua gives 14 digits of a number, and these have 16.
    redis.call('SET', KEYS[i], string.format('%.0f', whole_at[i]), 'PX', math.ceil((whole_at[i] - now) / 1000))
  end
  answer[2 * i] = whole_at[i] - now
  answer[2 * i + 1] = math.max(0, whole_at[i] + one - all - now)
end
return answer

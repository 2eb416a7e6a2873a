-- Takes from each limit, or from none where one of them is used up (GCRA). What is kept of a limit is the time, in
-- microseconds of Redis's clock, at which it will be whole again; nothing is kept of one that is whole.
-- KEYS: limits, all in one slot
-- ARGV: how many at once, if that is not more than a sixteenth of what is left: then fewer, and one at least; for each
-- limit, microseconds after which one is back, and after which all are
-- Answers how many it took; then for each limit the microseconds until it is whole, and until one can be taken.
-- Limits come with every request: they are not worth a line in a file, or to a replica, which would cost more than they
-- do. After a restart or a fail-over all are whole.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local whole_in, taken = {}, tonumber(ARGV[1])
for i = 1, #KEYS do
  local one, all = ARGV[2 * i], ARGV[2 * i + 1]
  whole_in[i] = math.max(0, (redis.call('GET', KEYS[i]) or now) - now)
  local left = math.floor((all - whole_in[i]) / one)
  taken = math.min(taken, left, math.max(1, math.floor(left / 16)))
end
local answer = {math.max(0, taken)}
for i = 1, #KEYS do
  local one, all = ARGV[2 * i], ARGV[2 * i + 1]
  if taken > 0 then
    whole_in[i] = whole_in[i] + taken * one
    -- '%.0f': as text, Lua gives 14 digits of a number, and these have 16.
    redis.call('SET', KEYS[i], string.format('%.0f', now + whole_in[i]), 'PX', math.ceil(whole_in[i] / 1000))
  end
  answer[2 * i] = whole_in[i]
  answer[2 * i + 1] = math.max(0, whole_in[i] + one - all)
end
return answer

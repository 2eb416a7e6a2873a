-- Puts documents of one bucket, each only over a lower version; a document that is gone becomes a tombstone.
-- KEYS: marker, document...   ARGV: marker expected, attempt's start (ms), attempt's limit (ms), tombstone's life (ms),
--       version, header, then one body per document ('' = gone).
-- Answers 'ok', or why nothing was written: 'lost', 'late', 'doubt' (a higher epoch is stored).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - ARGV[2] > tonumber(ARGV[3]) then return 'late' end

local version, header = ARGV[5], ARGV[6]
local puts, gone = {}, {}
for i = 2, #KEYS do
  local stored = redis.call('GETRANGE', KEYS[i], 0, #version - 1)
  if stored < version then
    local body = ARGV[i + 5]
    if body == '' then
      gone[#gone + 1] = i
    else
      puts[#puts + 1] = KEYS[i]
      puts[#puts + 1] = header .. body
    end
  elseif string.sub(stored, 1, 6) > string.sub(version, 1, 6) then
    return 'doubt'
  end
end
for first = 1, #puts, 1000 do -- Lua's stack holds no more than some thousands
  redis.call('MSET', unpack(puts, first, math.min(first + 999, #puts)))
end
for _, i in ipairs(gone) do
  redis.call('SET', KEYS[i], header, 'PX', ARGV[4])
end
return 'ok'

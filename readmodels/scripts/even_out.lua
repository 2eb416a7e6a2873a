-- Sets index and measures of a partition to exactly what the entries of its rows say, in one step.
-- KEYS: marker, rows, index, measures, scratch (there is none before and after)   ARGV: marker expected
-- Totals are added up in the scratch key, so that a share that can't be added leaves everything as it was. A row whose
-- entry can't be read counts nothing. Answers 'ok' or 'lost'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('DEL', KEYS[5])
local members = {}
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
  local row = redis.call('HGET', KEYS[2], id)
  local is_readable, entry = pcall(cmsgpack.unpack, string.sub(row, 7, 6 + (tonumber(string.sub(row, 1, 6)) or 0)))
  if is_readable and type(entry) == 'table' and type(entry[2]) == 'table' and type(entry[3]) == 'table' then
    for _, member in ipairs(entry[2]) do members[#members + 1] = member end
    for i = 1, #entry[3], 2 do
      local total = redis.pcall('HINCRBY', KEYS[5], entry[3][i], entry[3][i + 1])
      if type(total) == 'table' then
        redis.call('DEL', KEYS[5])
        return redis.error_reply('OVERFLOW measure ' .. entry[3][i] .. ' of row ' .. id)
      end
      if total == 0 then redis.call('HDEL', KEYS[5], entry[3][i]) end
    end
  end
end
redis.call('DEL', KEYS[3])
for _, member in ipairs(members) do redis.call('ZADD', KEYS[3], 0, member) end
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('RENAME', KEYS[5], KEYS[4])
else
  redis.call('DEL', KEYS[4])
end
return 'ok'

-- Puts rows of one partition, each only over a lower version, with its index entries and its share of the measures.
-- KEYS: marker, rows, index, measures, tombstones, expiring (the bucket's partitions that have tombstones), recent
-- ARGV: marker expected, attempt's start (ms), attempt's limit (ms), tombstone's life (ms), version, the partition's
--       entry in 'expiring', most recent rows, then per row
--       id, body ('' = gone), number of index members, members..., number of shares, (measure, share)...
-- A stored row is: length of its entry (6 digits), entry (msgpack: version, members, shares), body.
-- Shares are integers as text; they are added by HINCRBY, since numbers in Lua lose digits beyond 2^53.
-- Where somebody follows the partition, there is 'recent' (see follow.lua), and each row that is another now is in it.
-- Everything is checked before the first write. Answers as put_documents.lua does.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - ARGV[2] > tonumber(ARGV[3]) then return 'late' end
local version = ARGV[5]

-- 500 shares below 10^15 and a total below 10^18 can't overflow 64 bits.
local function is_small_integer(text, digits)
  return string.match(text, '^%-?%d+$') and #text <= digits
end

local due = {}
local at = 8
while at <= #ARGV do
  local row = {id = ARGV[at], body = ARGV[at + 1], members = {}, shares = {}}
  at = at + 2
  for i = 1, ARGV[at] do row.members[i] = ARGV[at + i] end
  at = at + ARGV[at] + 1
  for i = 1, ARGV[at] * 2 do row.shares[i] = ARGV[at + i] end
  at = at + ARGV[at] * 2 + 1

  local stored = redis.call('HGET', KEYS[2], row.id)
  row.old, row.old_body = {'', {}, {}}, ''
  if stored then
    local length = 6 + tonumber(string.sub(stored, 1, 6))
    row.old, row.old_body = cmsgpack.unpack(string.sub(stored, 7, length)), string.sub(stored, length + 1)
  end
  if string.sub(row.old[1], 1, 6) > string.sub(version, 1, 6) then return 'doubt' end
  if row.old[1] < version then
    for i = 1, #row.shares, 2 do
      local total = redis.call('HGET', KEYS[4], row.shares[i]) or '0'
      if not (is_small_integer(row.shares[i + 1], 15) and is_small_integer(total, 18)) then
        return redis.error_reply('OVERFLOW measure ' .. row.shares[i] .. ' of row ' .. row.id)
      end
    end
    due[#due + 1] = row
  end
end

local last = redis.call('ZREVRANGE', KEYS[7], 0, 0, 'WITHSCORES')[2]
for _, row in ipairs(due) do
  if last and row.body ~= row.old_body then
    last = last + 1
    redis.call('ZADD', KEYS[7], string.format('%.0f', last), row.id)
  end
  for i = 1, #row.old[3], 2 do
    local share = row.old[3][i + 1]
    local minus = string.sub(share, 1, 1) == '-' and string.sub(share, 2) or '-' .. share
    if redis.call('HINCRBY', KEYS[4], row.old[3][i], minus) == 0 then redis.call('HDEL', KEYS[4], row.old[3][i]) end
  end
  for i = 1, #row.shares, 2 do redis.call('HINCRBY', KEYS[4], row.shares[i], row.shares[i + 1]) end
  for _, member in ipairs(row.old[2]) do redis.call('ZREM', KEYS[3], member) end
  for _, member in ipairs(row.members) do redis.call('ZADD', KEYS[3], 0, member) end
  local entry = cmsgpack.pack({version, row.members, row.shares})
  redis.call('HSET', KEYS[2], row.id, string.format('%06d', #entry) .. entry .. row.body)
  if row.body == '' then
    redis.call('ZADD', KEYS[5], now + ARGV[4], row.id)
    redis.call('ZADD', KEYS[6], now + ARGV[4], ARGV[6])
  else
    redis.call('ZREM', KEYS[5], row.id)
  end
end

-- What is dropped raises the floor, whose member is '': whoever has not come as far has to read the partition anew.
local surplus = redis.call('ZCARD', KEYS[7]) - 1 - ARGV[7]
if surplus > 0 then
  local floor = redis.call('ZRANGE', KEYS[7], surplus, surplus, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', KEYS[7], 0, surplus)
  redis.call('ZADD', KEYS[7], floor, '')
end

-- A few expired tombstones go with each write; those of partitions that nobody writes to go by expire_rows.lua.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 10)) do
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[5], id)
end
return 'ok'

-- Puts rows of one partition, each only over a lower version, with its index entries and its share of the measures.
-- KEYS: marker, rows, index, measures, tombstones, expiring (the bucket's partitions that have tombstones), recent
-- ARGV: marker expected, attempt's start (ms), attempt's limit (ms), tombstone's life (ms), version, the partition's
--       entry in 'expiring', most recent rows, then per row its id and what is to be stored of it.
-- A stored row is: length of its entry (6 digits), entry (msgpack: version, index members, shares as a flat list of
-- measure and share), body ('' = gone). Of an entry, what comes after its version is all that concerns others.
-- Shares are integers as text. What they change is summed up in Lua as long as that is exact, and added by HINCRBY.
-- Where somebody follows the partition, there is 'recent' (see follow.lua), and each row that is another now is in it.
-- Everything is checked before the first write. Answers as put_documents.lua does.
-- Each call of Redis, and each value that Lua takes apart, costs 1 us or more: so there is one call for many rows where
-- there can be, and none for what stays as it is.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - ARGV[2] > tonumber(ARGV[3]) then return 'late' end
local version, epoch = ARGV[5], string.sub(ARGV[5], 1, 6)
-- Below 2^53 Lua adds exactly: what is added to is below SAFE, and so is what is added.
local SAFE = 10 ^ 15
local VERSIONED = '\147\186' -- how an entry begins: three parts, of which the first has 26 characters
local AFTER_VERSION = 6 + #VERSIONED + 26 + 1
local SOME = 1000 -- an even number, since some arguments are pairs; unpack takes no more than some thousands

-- 8,000 shares below 10^15 and a total below 10^18 can't overflow 64 bits.
local function is_small_integer(text, digits)
  return string.match(text, '^%-?%d+$') and #text <= digits
end

local ids = {}
for at = 8, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end

local due, is_summable, sums, amounts = {}, {}, {}, {}
local function add(measure, amount)
  local sum = (sums[measure] or 0) + amount
  if math.abs(sum) >= SAFE then
    amounts[#amounts + 1] = {measure, sum}
    sum = 0
  end
  sums[measure] = sum
end

local NOTHING = {'', {}, {}}
for first = 1, #ids, SOME do
  local stored = redis.call('HMGET', KEYS[2], unpack(ids, first, math.min(first + SOME - 1, #ids)))
  for i, old in ipairs(stored) do
    local at = 6 + 2 * (first + i - 1)
    local row = {id = ARGV[at], value = ARGV[at + 1]}
    row.length = 6 + tonumber(string.sub(row.value, 1, 6))
    local old_length = 0
    if old then
      old_length = 6 + tonumber(string.sub(old, 1, 6))
      if string.sub(old, 7, 8) ~= VERSIONED then return redis.error_reply('UNREADABLE row ' .. row.id) end
      if string.sub(old, 9, 14) > epoch then return 'doubt' end
    end
    if not old or string.sub(old, 9, AFTER_VERSION - 1) < version then
      row.old_body = old and string.sub(old, old_length + 1)
      if not old or string.sub(old, AFTER_VERSION, old_length) ~= string.sub(row.value, AFTER_VERSION, row.length) then
        row.entry = cmsgpack.unpack(string.sub(row.value, 7, row.length))
        row.old_entry = old and cmsgpack.unpack(string.sub(old, 7, old_length)) or NOTHING
        local shares, old_shares = row.entry[3], row.old_entry[3]
        for j = 1, #shares, 2 do
          local measure, share = shares[j], shares[j + 1]
          if is_summable[measure] == nil then
            is_summable[measure] = is_small_integer(redis.call('HGET', KEYS[4], measure) or '0', 18) or false
          end
          if not (is_summable[measure] and is_small_integer(share, 15)) then
            return redis.error_reply('OVERFLOW measure ' .. measure .. ' of row ' .. row.id)
          end
          add(measure, tonumber(share))
        end
        for j = 1, #old_shares, 2 do add(old_shares[j], -tonumber(old_shares[j + 1])) end
      end
      due[#due + 1] = row
    end
  end
end

local added, removed, values, buried, alive = {}, {}, {}, {}, {}
local last = redis.call('ZREVRANGE', KEYS[7], 0, 0, 'WITHSCORES')[2]
for _, row in ipairs(due) do
  if last and string.sub(row.value, row.length + 1) ~= (row.old_body or '') then
    last = last + 1
    redis.call('ZADD', KEYS[7], string.format('%.0f', last), row.id)
  end
  if row.entry then
    local is_left = {}
    for _, member in ipairs(row.old_entry[2]) do is_left[member] = true end
    for _, member in ipairs(row.entry[2]) do
      if not is_left[member] then
        added[#added + 1] = 0
        added[#added + 1] = member
      end
      is_left[member] = nil
    end
    for _, member in ipairs(row.old_entry[2]) do
      if is_left[member] then removed[#removed + 1] = member end
    end
  end
  values[#values + 1] = row.id
  values[#values + 1] = row.value
  if #row.value == row.length then
    buried[#buried + 1] = now + ARGV[4]
    buried[#buried + 1] = row.id
  elseif row.old_body == '' then
    alive[#alive + 1] = row.id
  end
end

for measure, sum in pairs(sums) do
  if sum ~= 0 then amounts[#amounts + 1] = {measure, sum} end
end
for _, amount in ipairs(amounts) do
  if redis.call('HINCRBY', KEYS[4], amount[1], string.format('%.0f', amount[2])) == 0 then
    redis.call('HDEL', KEYS[4], amount[1])
  end
end
local function write(command, key, arguments)
  for first = 1, #arguments, SOME do
    redis.call(command, key, unpack(arguments, first, math.min(first + SOME - 1, #arguments)))
  end
end
write('ZREM', KEYS[3], removed)
write('ZADD', KEYS[3], added)
write('HSET', KEYS[2], values)
write('ZREM', KEYS[5], alive)
write('ZADD', KEYS[5], buried)
if #buried > 0 then redis.call('ZADD', KEYS[6], now + ARGV[4], ARGV[6]) end

-- What is dropped raises the floor, whose member is '': whoever has not come as far has to read the partition anew.
local surplus = last and redis.call('ZCARD', KEYS[7]) - 1 - ARGV[7] or 0
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

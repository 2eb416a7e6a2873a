-- Reads one page of a partition with its measures in one step, so that they can't disagree.
-- KEYS: marker, progress, rows, index, measures   ARGV: low, high (bounds of the index), 'desc' or 'asc', rows wanted
-- Answers marker, progress, index members, rows, measures (flat pairs).
local progress = redis.call('GET', KEYS[2])
-- While a bucket is emptied or filled, what is left of a partition does not belong together.
if not progress then return {redis.call('GET', KEYS[1]), false, {}, {}, {}} end
local members
if ARGV[3] == 'desc' then
  members = redis.call('ZREVRANGEBYLEX', KEYS[4], ARGV[2], ARGV[1], 'LIMIT', 0, ARGV[4])
else
  members = redis.call('ZRANGEBYLEX', KEYS[4], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[4])
end
local rows = {}
for i, member in ipairs(members) do
  rows[i] = redis.call('HGET', KEYS[3], string.match(member, '\1([^\1]*)$'))
end
return {redis.call('GET', KEYS[1]), progress, members, rows, redis.call('HGETALL', KEYS[5])}

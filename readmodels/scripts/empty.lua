-- Removes keys of a bucket that is being emptied, and gives it its next marker.
-- KEYS: marker, key...   ARGV: marker expected, marker afterwards
-- Answers 'lost', and removes nothing, where somebody else has begun the bucket meanwhile.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'

-- Removes what no guarded write could replace, if it is still exactly that.
-- KEYS: marker, document or rows, recent   ARGV: marker expected, SHA-1 of the value, row id ('' for a document)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local value
if ARGV[3] == '' then value = redis.call('GET', KEYS[2]) else value = redis.call('HGET', KEYS[2], ARGV[3]) end
if not value or redis.sha1hex(value) ~= ARGV[2] then return 'other' end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
else
  redis.call('HDEL', KEYS[2], ARGV[3])
  -- Whoever follows the partition begins anew with it.
  redis.call('DEL', KEYS[3])
end
return 'ok'

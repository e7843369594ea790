#!lua flags=no-writes
-- Jobs of one state, next first; the dead latest first.
-- KEYS: body attempts error, and the state's list or zset. ARGV: state, limit.
-- Returns by five: id, attempts begun, time of the state (µs), time and header of the record, last error or ''.
local body, attempts, failure, members = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local state, last = ARGV[1], ARGV[2] - 1
local ids, times, begun = {}, {}, {}

if state == 'ready' then
	ids = redis.call('LRANGE', members, 0, last)
else
	local order = state == 'dead' and 'ZREVRANGE' or 'ZRANGE'
	local found = redis.call(order, members, 0, last, 'WITHSCORES')
	for i = 1, #found, 2 do
		ids[#ids + 1] = string.match(found[i], '^[^#]*')
		begun[#ids] = string.match(found[i], '^[^#]*#(%d+)#')
		times[#ids] = found[i + 1]
	end
end

local result = {}
for i, id in ipairs(ids) do
	local record = redis.call('HGET', body, id) or '0\n{}'
	result[#result + 1] = id
	result[#result + 1] = begun[i] or redis.call('HGET', attempts, id) or '0'
	result[#result + 1] = times[i] or '0'
	result[#result + 1] = string.match(record, '^%d+\n[^\n]*') or '0\n{}'
	result[#result + 1] = redis.call('HGET', failure, id) or ''
end
return result

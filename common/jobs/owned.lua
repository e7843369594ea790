#!lua flags=no-writes
-- What an owner has in flight. It reads all that is in flight, so it is only for the death of a worker or of a reply.
-- KEYS: inflight. ARGV: owner. Returns members.
local suffix = '#' .. ARGV[1]
local owned = {}

for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
	if string.sub(member, -#suffix) == suffix then
		owned[#owned + 1] = member
	end
end
return owned

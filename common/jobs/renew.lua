#!lua flags=allow-oom
-- Lets leases end `ARGV[1]` µs from now; one that is gone stays gone.
-- KEYS: inflight. ARGV: lease (µs), members. Returns the indexes, from 1, of the members that are not there.
local inflight = KEYS[1]
local clock = redis.call('TIME')
local deadline = string.format('%.0f', clock[1] * 1000000 + clock[2] + ARGV[1])
local scores = redis.call('ZMSCORE', inflight, unpack(ARGV, 2))
local leases, lost = {}, {}

for i = 1, #scores do
	if scores[i] then
		leases[#leases + 1] = deadline
		leases[#leases + 1] = ARGV[1 + i]
	else
		lost[#lost + 1] = i
	end
end
if #leases > 0 then
	redis.call('ZADD', inflight, 'XX', unpack(leases))
end
return lost

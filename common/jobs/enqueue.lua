#!lua
-- Adds one job; with an id that exists already, nothing. Without allow-oom the whole script is refused, unexecuted,
-- by a server whose memory is full.
-- KEYS: body ready wake. ARGV: id, record without its time. Returns 1 when it was added, else 0.
local body, ready, wake = KEYS[1], KEYS[2], KEYS[3]
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])

if redis.call('HSETNX', body, ARGV[1], now .. '\n' .. ARGV[2]) == 0 then
	return 0
end
redis.call('RPUSH', ready, ARGV[1])
if redis.call('EXISTS', wake) == 0 then
	redis.call('LPUSH', wake, 1)
end
return 1

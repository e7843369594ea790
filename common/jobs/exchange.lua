#!lua flags=allow-oom
-- A consumer's one round trip: takes its verdicts, promotes what is due, takes back what outlived its lease, fetches.
-- Finishing jobs frees memory, so a full server must let it pass.
-- KEYS: body ready delayed inflight attempts error dead wake
-- ARGV: owner, lease (µs), how many to fetch, n = how many are done; n members; then by four for each other verdict:
-- member, outcome, delay (µs), error.
-- Returns: refused verdicts, how many are left ready, µs until something becomes due (-1: nothing known), now, then by
-- three for each job fetched: id, attempt, record.
local body, ready, delayed, inflight = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local attempts, failure, dead, wake = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local owner, lease, fetch, n_done = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local BATCH = 1000 -- unpack() takes no more than some thousands
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local refused = 0

local function integer(number)
	return string.format('%.0f', number)
end

local function id_of(member)
	return string.sub(member, 1, string.find(member, '#', 1, true) - 1)
end

local function bury(id, message)
	redis.call('ZADD', dead, integer(now), id)
	redis.call('HSET', failure, id, message)
end

local function finish(first, last)
	local held, ids = {}, {}
	local scores = redis.call('ZMSCORE', inflight, unpack(ARGV, first, last))
	for i = 1, #scores do
		if scores[i] then
			held[#held + 1] = ARGV[first + i - 1]
			ids[#ids + 1] = id_of(ARGV[first + i - 1])
		end
	end
	refused = refused + #scores - #held
	if #held > 0 then
		redis.call('ZREM', inflight, unpack(held))
		redis.call('HDEL', body, unpack(ids))
		redis.call('HDEL', attempts, unpack(ids))
		redis.call('HDEL', failure, unpack(ids))
	end
end

-- While a job is in flight its member counts the attempts; the hash is for those that wait after one.
local function judge(member, outcome, delay, message)
	local id, attempt = string.match(member, '^([^#]*)#(%d+)#')
	if redis.call('ZREM', inflight, member) == 0 then
		refused = refused + 1
	elseif outcome == 'return' then
		redis.call('LPUSH', ready, id)
	elseif outcome == 'retry' then
		redis.call('HSET', attempts, id, attempt)
		redis.call('ZADD', delayed, integer(now + delay), id)
		redis.call('HSET', failure, id, message)
	else
		redis.call('HSET', attempts, id, attempt)
		bury(id, message)
	end
end

local function promote()
	local due = redis.call('ZRANGE', delayed, '-inf', integer(now), 'BYSCORE', 'LIMIT', 0, BATCH)
	if #due > 0 then
		redis.call('ZREM', delayed, unpack(due))
		redis.call('RPUSH', ready, unpack(due))
	end
end

-- 0 where the record cannot be read: no attempt can mend that.
local function max_attempts(record)
	local ok, header = pcall(cjson.decode, string.match(record, '^%d+\n([^\n]*)') or '')
	return ok and type(header) == 'table' and tonumber(header.max_attempts) or 0
end

-- What a dead worker held: its attempt counts, so a job that kills its workers ends among the dead.
local function reap()
	local lost = redis.call('ZRANGE', inflight, '-inf', integer(now), 'BYSCORE', 'LIMIT', 0, BATCH)
	for _, member in ipairs(lost) do
		local id, attempt = string.match(member, '^([^#]*)#(%d+)#')
		local record = id and redis.call('HGET', body, id)
		redis.call('ZREM', inflight, member)
		if not record then -- nothing to run; what is no member of ours must not stop the queue
			redis.call('HDEL', attempts, id or member)
		elseif tonumber(attempt) >= max_attempts(record) then
			redis.call('HSET', attempts, id, attempt)
			bury(id, '{"code":"worker_lost","message":"Its worker died or lost touch with Redis while running it."}')
		else
			redis.call('HSET', attempts, id, attempt)
			redis.call('LPUSH', ready, id)
		end
	end
end

local function take(result)
	local ids = fetch > 0 and redis.call('LPOP', ready, fetch)
	if not ids or #ids == 0 then
		return
	end
	local records = redis.call('HMGET', body, unpack(ids))
	local begun = redis.call('HMGET', attempts, unpack(ids))
	local leases = {}
	local deadline = integer(now + lease)
	for i, id in ipairs(ids) do
		if records[i] then
			local attempt = integer((tonumber(begun[i] or 0) or 0) + 1)
			leases[#leases + 1] = deadline
			leases[#leases + 1] = id .. '#' .. attempt .. '#' .. owner
			result[#result + 1] = id
			result[#result + 1] = attempt
			result[#result + 1] = records[i]
		end
	end
	if #leases > 0 then
		redis.call('ZADD', inflight, unpack(leases))
	end
end

local function until_next()
	local nearest
	for _, key in ipairs({ delayed, inflight }) do
		local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
		if first[2] and (not nearest or tonumber(first[2]) < nearest) then
			nearest = tonumber(first[2])
		end
	end
	return nearest and math.max(nearest - now, 0) or -1
end

if n_done > 0 then
	finish(5, 4 + n_done)
end
for i = 5 + n_done, #ARGV, 4 do
	judge(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
promote()
reap()
local result = { refused, 0, 0, integer(now) }
take(result)
result[2] = redis.call('LLEN', ready)
result[3] = integer(until_next())
if result[2] == 0 then
	redis.call('DEL', wake)
elseif redis.call('EXISTS', wake) == 0 then
	redis.call('LPUSH', wake, 1)
end
return result

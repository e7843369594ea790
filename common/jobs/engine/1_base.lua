-- The engine of the job queues: a library of Redis functions. common/jobs/job_queue.h says what the keys are; each
-- function is called with those of one shard in that order, and with taken:OWNER behind them where it needs one.
-- VERSION is this text's hash, set by whoever loads it: an older version may serve at the same time.

local BODY, READY, WAKE, META, RECENT, DELAYED, RANKED, KEYED, TURNS = 1, 2, 3, 4, 5, 6, 7, 8, 9
local KEYED_KEYS, UNIQUE, TIMERS, STATE, DEAD, KEPT, CANCELS, OWNERS = 10, 11, 12, 13, 14, 15, 16, 17
local IDENTITIES, RESULTS, TAKEN = 18, 19, 20

local BATCH = 1000 -- unpack() takes no more than some thousands
local ID_SIZE = 36
local RECENT_FOR = 15000000 -- µs: far longer than a producer repeats a call
local RANK_STEP = 2 ^ 42 -- sequences of one priority
local MIDDLE = 2 ^ 41 -- sequences grow from here, those of jobs that go back to the front fall
local GHOST = '-' -- instead of a record, while a place still has the id of a job that is gone

local call -- redis.call, which is there only while a function runs

local function read_record(k, id)
	local record = call('HGET', k[BODY], id)
	return record ~= GHOST and record or nil
end

local function is_live(k, id)
	return read_record(k, id) ~= nil
end

local function time_now()
	local clock = call('TIME')
	return clock[1] * 1000000 + clock[2]
end

-- For text; numbers that are arguments of commands are written in full by Redis itself.
local function integer(number)
	return string.format('%.0f', number)
end

-- nil where there is none, or none that can be read.
local function decode_header(record)
	local ok, header = pcall(cjson.decode, string.match(record, '^%d+[ x]*\n([^\n]*)') or '')
	return ok and type(header) == 'table' and header or nil
end

local function is_text(value)
	return type(value) == 'string' and value ~= '' and not string.find(value, '%z')
end

local function is_duration(value)
	return type(value) == 'number' and value > 0 and value < 2 ^ 50
end

local function is_priority(value)
	return type(value) == 'number' and value >= -100 and value <= 100
end

local EXTRAS = { key = is_text, unique = is_text, priority = is_priority, expires = is_duration,
	throttle = is_duration, debounce = is_duration }

-- What concerns the scripts; nil for most jobs, which are plain. What Prong would not have written is left out: a script
-- that fails in its middle leaves half of its work behind.
local function extras_of(record)
	local header = string.find(record, '^%d+ x') and decode_header(record)
	if not header then
		return nil
	end
	for name, is_fit in pairs(EXTRAS) do
		if header[name] ~= nil and not is_fit(header[name]) then
			header[name] = nil
		end
	end
	return header
end

local function read_state(k, id)
	local text = call('HGET', k[STATE], id)
	if not text then
		return 0, 0
	end
	local attempts, crashes = string.match(text, '^(%d+) (%d+)')
	return tonumber(attempts) or 0, tonumber(crashes) or 0
end

local function write_state(k, id, attempts, crashes, message)
	call('HSET', k[STATE], id, integer(attempts) .. ' ' .. integer(crashes) .. '\n' .. message)
end

local function push_token(k)
	if call('EXISTS', k[WAKE]) == 0 then
		call('LPUSH', k[WAKE], 1)
	end
end

-- ---- keys: whose turn it is, and their limits ----

-- How many wait and run, its rate's theoretical arrival time (GCRA), and why it is out of the turns though some wait.
local PARKED_NOT, PARKED_FULL, PARKED_RATE = 0, 1, 2

local function read_key(k, key)
	local text = call('HGET', k[KEYED_KEYS], key)
	if not text then
		return 0, 0, 0, PARKED_NOT
	end
	local waiting, running, arrival, parked = string.match(text, '^(%d+) (%d+) (%d+) (%d)$')
	return tonumber(waiting) or 0, tonumber(running) or 0, tonumber(arrival) or 0, tonumber(parked) or 0
end

local function write_key(k, now, key, waiting, running, arrival, parked)
	if waiting == 0 and running == 0 and arrival <= now then
		call('HDEL', k[KEYED_KEYS], key)
		return
	end
	if waiting == 0 and running == 0 then
		call('ZADD', k[TIMERS], arrival, 'k:' .. key) -- to be forgotten then
	end
	call('HSET', k[KEYED_KEYS], key,
		string.format('%.0f %.0f %.0f %d', waiting, running, arrival, parked))
end

local function key_waits_more(k, now, key)
	local waiting, running, arrival, parked = read_key(k, key)
	if waiting == 0 then
		call('RPUSH', k[TURNS], key)
		parked = PARKED_NOT
	end
	write_key(k, now, key, waiting + 1, running, arrival, parked)
end

local function key_runs_less(k, now, key)
	local waiting, running, arrival, parked = read_key(k, key)
	if parked == PARKED_FULL and waiting > 0 then
		call('RPUSH', k[TURNS], key)
		parked = PARKED_NOT
	end
	write_key(k, now, key, waiting, math.max(running - 1, 0), arrival, parked)
end

-- Its rate allows another one, or it can be forgotten.
local function key_may_run(k, now, key)
	local waiting, running, arrival, parked = read_key(k, key)
	if parked == PARKED_RATE and waiting > 0 then
		call('RPUSH', k[TURNS], key)
		parked = PARKED_NOT
	end
	write_key(k, now, key, waiting, running, arrival, parked)
end

-- ---- places: where a job waits that may run ----

local function sequence(k, front)
	return MIDDLE + call('HINCRBY', k[META], front and 'front' or 'sequence', front and -1 or 1)
end

local function keyed_member(k, id, extras, front)
	return extras.key .. '\0' .. string.format('%03d%013.0f', 100 - (extras.priority or 0), sequence(k, front)) .. id
end

local function place(k, now, id, extras, front)
	if extras and extras.key then
		call('ZADD', k[KEYED], 0, keyed_member(k, id, extras, front))
		key_waits_more(k, now, extras.key)
	elseif extras and extras.priority then
		call('ZADD', k[RANKED], -extras.priority * RANK_STEP + sequence(k, front) - MIDDLE, id)
	else
		call(front and 'LPUSH' or 'RPUSH', k[READY], id)
	end
end

-- ---- unique keys: value "id until started": the end of a throttle's window or 0, and whether only that holds it ----

local function read_unique(k, key)
	return string.match(call('HGET', k[UNIQUE], key) or '', '^(%S+) (%d+) (%d)$')
end

local function unique_holder(k, now, key)
	local id, till = read_unique(k, key)
	if not id or (tonumber(till) <= now and not is_live(k, id)) then
		return nil
	end
	return id
end

local function unique_hold(k, now, id, extras)
	local till = extras.throttle and now + extras.throttle or 0
	call('HSET', k[UNIQUE], extras.unique, id .. ' ' .. integer(till) .. ' 0')
	if till > 0 then
		call('ZADD', k[TIMERS], till, 'u:' .. extras.unique)
	end
end

-- The job itself does not need it any more.
local function unique_release(k, now, id, key)
	local holder, till = read_unique(k, key)
	if holder ~= id then
		return
	end
	if tonumber(till) <= now then
		call('HDEL', k[UNIQUE], key)
	else
		call('HSET', k[UNIQUE], key, id .. ' ' .. till .. ' 1')
	end
end

-- Its window is over.
local function unique_end(k, key)
	local id, _, started = read_unique(k, key)
	if id and started == '0' and is_live(k, id) then
		call('HSET', k[UNIQUE], key, id .. ' 0 0')
	else
		call('HDEL', k[UNIQUE], key)
	end
end

-- ---- ends ----

-- Nothing is left of a job that is in no place any more, but the result that it may get.
local function forget(k, now, id, record, extras)
	call('HDEL', k[BODY], id)
	call('HDEL', k[STATE], id)
	call('HDEL', k[KEPT], 'p:' .. id)
	call('HINCRBY', k[META], 'bytes', -#record)
	if extras and extras.unique then
		unique_release(k, now, id, extras.unique)
	end
	if extras and extras.expires then
		call('ZREM', k[TIMERS], 'e:' .. id)
	end
end

local function forget_dead(k, now, ids)
	for _, id in ipairs(ids) do
		local record = call('HGET', k[BODY], id)
		call('ZREM', k[DEAD], id)
		if record then
			forget(k, now, id, record, extras_of(record))
		end
	end
end

local function bury(k, now, id, extras, attempts, crashes, message, max_dead)
	write_state(k, id, attempts, crashes, message)
	call('ZADD', k[DEAD], now, id)
	if extras and extras.unique then
		unique_release(k, now, id, extras.unique)
	end
	local over = call('ZCARD', k[DEAD]) - max_dead
	if over > 0 then
		forget_dead(k, now, call('ZRANGE', k[DEAD], 0, math.min(over, BATCH) - 1))
	end
end

-- A waiting job is gone. Lists and keys keep its id, a ghost: finding it there could take long. Until it is come upon
-- the id is not free: a second place for it would have a job run twice.
local function remove_waiting(k, now, id, record)
	local placed = call('ZREM', k[DELAYED], id) == 0 and call('ZREM', k[RANKED], id) == 0
	forget(k, now, id, record, extras_of(record))
	if placed then
		call('HSET', k[BODY], id, GHOST)
		call('HINCRBY', k[META], 'ghosts', 1)
	end
end

local function lay_ghosts(k, ids)
	if #ids > 0 then
		call('HDEL', k[BODY], unpack(ids))
		call('HINCRBY', k[META], 'ghosts', -#ids)
	end
end

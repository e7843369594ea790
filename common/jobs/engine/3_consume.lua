-- ---- what is due ----

local function promote(k, now)
	local due = call('ZRANGE', k[DELAYED], '-inf', now, 'BYSCORE', 'LIMIT', 0, BATCH)
	if #due == 0 then
		return
	end
	local plain = {}
	call('ZREM', k[DELAYED], unpack(due))
	for i, record in ipairs(call('HMGET', k[BODY], unpack(due))) do
		local extras = record and extras_of(record)
		if extras then
			place(k, now, due[i], extras, false)
		elseif record then
			plain[#plain + 1] = due[i]
		end
	end
	if #plain > 0 then
		call('RPUSH', k[READY], unpack(plain))
	end
end

local function expire(k, now, id)
	local record = read_record(k, id)
	if not record then
		return 0
	end
	remove_waiting(k, now, id, record)
	return 1
end

-- Returns how many waiting jobs expired.
local function run_timers(k, now)
	local expired = 0
	local due = call('ZRANGE', k[TIMERS], '-inf', now, 'BYSCORE', 'LIMIT', 0, BATCH)
	for _, timer in ipairs(due) do
		local kind, name = string.sub(timer, 1, 2), string.sub(timer, 3)
		call('ZREM', k[TIMERS], timer)
		if kind == 'e:' then
			expired = expired + expire(k, now, name)
		elseif kind == 'u:' then
			unique_end(k, name)
		else
			key_may_run(k, now, name)
		end
	end
	return expired
end

-- ---- verdicts ----

-- Takes the job from its owner, where this attempt is still its own. Returns its record, and whether it was to be
-- cancelled.
local function give_up(k, id, attempt)
	local held = call('HGET', k[TAKEN], id)
	if not held or string.match(held, '^%d+') ~= attempt then
		return nil
	end
	call('HDEL', k[TAKEN], id)
	call('HINCRBY', k[META], 'running', -1)
	local ordered = call('SREM', k[CANCELS], id) == 1
	return call('HGET', k[BODY], id) or nil, ordered
end

-- Plain jobs that are done, most of all verdicts: members of args by two, id and attempt. Returns how many were refused.
local function finish_plain(k, args, first, count)
	local ids, again, done, bytes = {}, {}, {}, 0
	for i = 1, count do
		ids[i] = args[first + 2 * (i - 1)]
	end
	for i, held in ipairs(call('HMGET', k[TAKEN], unpack(ids))) do
		local attempt, size = string.match(held or '', '^(%d+) (%d+)')
		if attempt and attempt == args[first + 2 * i - 1] then
			done[#done + 1] = ids[i]
			bytes = bytes + size
			if attempt ~= '1' then
				again[#again + 1] = ids[i]
			end
		end
	end
	if #done > 0 then
		call('HDEL', k[TAKEN], unpack(done))
		call('HDEL', k[BODY], unpack(done))
		call('HINCRBY', k[META], 'running', -#done)
		call('HINCRBY', k[META], 'bytes', -bytes)
	end
	if #again > 0 then
		call('HDEL', k[STATE], unpack(again))
	end
	if #done > 0 and call('EXISTS', k[CANCELS]) == 1 then
		call('SREM', k[CANCELS], unpack(done))
	end
	if #done > 0 and call('EXISTS', k[KEPT]) == 1 then
		for _, id in ipairs(done) do
			call('HDEL', k[KEPT], 'p:' .. id)
		end
	end
	return count - #done
end

-- An attempt that ended badly: dead, where nothing is left to be tried, else due after `delay`.
local function fail(k, now, id, record, extras, attempt, crashes, message, delay, limits, buried)
	local header = decode_header(record) or {}
	local poisoned = crashes >= (tonumber(header.max_crashes) or 3)
	if not poisoned and attempt < (tonumber(header.max_attempts) or 0) then
		write_state(k, id, attempt, crashes, message)
		if delay > 0 then
			call('ZADD', k[DELAYED], now + delay, id)
		else
			place(k, now, id, extras, true)
		end
		return
	end
	local code = poisoned and 'poison' or 'worker_lost'
	if poisoned then
		local ok, last = pcall(cjson.decode, message)
		message = cjson.encode({ code = code, message = 'Its process died ' .. crashes
			.. ' times while running it; last: ' .. tostring(ok and type(last) == 'table' and last.message or message) })
	end
	bury(k, now, id, extras, attempt, crashes, message, limits.max_dead)
	for _, value in ipairs({ id, tostring(header.name or ''), code, header.durable and '1' or '0' }) do
		buried[#buried + 1] = value
	end
end

local function drop_results(k, ids)
	for _, id in ipairs(ids) do
		call('ZREM', k[RESULTS], id)
		call('HDEL', k[KEPT], 'r:' .. id)
	end
end

-- Where there are too many, those that would go next go now.
local function keep_result(k, id, text, till, max_results)
	call('HSET', k[KEPT], 'r:' .. id, text)
	call('ZADD', k[RESULTS], till, id)
	local over = call('ZCARD', k[RESULTS]) - max_results
	if over > 0 then
		drop_results(k, call('ZRANGE', k[RESULTS], 0, math.min(over, BATCH) - 1))
	end
end

-- args at i: id, attempt, outcome, delay, text, how long its result is kept. Returns 1 where it was refused.
local function judge(k, now, args, i, limits, buried)
	local id, attempt, outcome, delay, text = args[i], args[i + 1], args[i + 2], tonumber(args[i + 3]), args[i + 4]
	local record, ordered = give_up(k, id, attempt)
	if not record then
		return 1
	end
	if ordered and outcome ~= 'done' then -- it ended before its worker heard of the order
		outcome, text = 'cancelled', ''
	end
	local extras = extras_of(record)
	if extras and extras.key then
		key_runs_less(k, now, extras.key)
	end
	attempt = tonumber(attempt)
	if outcome == 'done' or outcome == 'cancelled' then
		forget(k, now, id, record, extras)
		if text ~= '' then
			keep_result(k, id, text, now + tonumber(args[i + 5]), limits.max_results)
		end
	elseif outcome == 'return' then
		place(k, now, id, extras, true)
	elseif outcome == 'retry' then
		local _, crashes = read_state(k, id)
		write_state(k, id, attempt, crashes, text)
		call('ZADD', k[DELAYED], now + delay, id)
	elseif outcome == 'crashed' then
		local _, crashes = read_state(k, id)
		fail(k, now, id, record, extras, attempt, crashes + 1, text, delay, limits, buried)
	else
		local _, crashes = read_state(k, id)
		bury(k, now, id, extras, attempt, crashes, text, limits.max_dead)
	end
	return 0
end

-- ---- taking ----

-- A reply is not to grow beyond what a network carries in good time: no more are taken once there are so many bytes.
local FETCH_BYTES, PIECE = 8 * 1024 * 1024, 32

-- GCRA: whether a start is allowed now, else from when on; and the arrival time after it.
local function rate_allows(now, arrival, count, per)
	local step = per / count
	if arrival < now or arrival > now + 2 * per then -- never so far ahead, unless the clock went back
		arrival = now
	end
	local from = arrival - (per - step)
	if from > now then
		return false, from
	end
	return true, arrival + step
end

-- Starts of the queue that its rate allows at once, at most n; from when on, where none; the arrival time after all.
local function rate_room(now, arrival, n, limits)
	local allowed = 0
	if limits.rate_count == 0 then
		return n, 0, arrival
	end
	while allowed < n do
		local ok, time = rate_allows(now, arrival, limits.rate_count, limits.rate_per)
		if not ok then
			return allowed, time, arrival
		end
		arrival = time
		allowed = allowed + 1
	end
	return allowed, 0, arrival
end

-- What was taken together: ids and records by two.
local function add_to_batch(batch, id, record)
	batch[#batch + 1] = id
	batch[#batch + 1] = record
	batch.bytes = batch.bytes + #record
end

-- How many more may be taken, of n.
local function room_of(batch, n)
	return batch.bytes < FETCH_BYTES and n - #batch / 2 or 0
end

-- One job of each key in turn, until the batch has n.
local function take_keyed(k, now, n, limits, batch)
	local tries = n + BATCH -- ghosts and parked keys take a try each
	while room_of(batch, n) > 0 and tries > 0 do
		local key = call('LPOP', k[TURNS])
		if not key then
			return
		end
		tries = tries - 1
		local waiting, running, arrival, parked = read_key(k, key)
		local member, ok, time
		if limits.key_concurrency > 0 and running >= limits.key_concurrency then
			parked = PARKED_FULL
		elseif limits.key_rate_count > 0 then
			ok, time = rate_allows(now, arrival, limits.key_rate_count, limits.key_rate_per)
			if not ok then
				parked = PARKED_RATE
				call('ZADD', k[TIMERS], time, 'k:' .. key)
			end
		end
		if parked == PARKED_NOT then
			member = call('ZRANGE', k[KEYED], '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', 0, 1)[1]
			waiting = member and waiting - 1 or 0
		end
		if member then
			local id = string.sub(member, -ID_SIZE)
			local record = read_record(k, id)
			call('ZREM', k[KEYED], member)
			if record then
				add_to_batch(batch, id, record)
				running = running + 1
				arrival = time or arrival
			else
				lay_ghosts(k, { id })
			end
			if waiting > 0 then
				call('RPUSH', k[TURNS], key)
			end
		end
		write_key(k, now, key, waiting, running, arrival, parked)
	end
end

local function add_records(k, ids, batch)
	local ghosts = {}
	for i, record in ipairs(call('HMGET', k[BODY], unpack(ids))) do
		if record and record ~= GHOST then
			add_to_batch(batch, ids[i], record)
		else
			ghosts[#ghosts + 1] = ids[i]
		end
	end
	lay_ghosts(k, ghosts)
end

-- Some at a time, as their sizes are not known before, until the batch has n, or too many ghosts were come upon.
local function take_plain(k, n, batch)
	local tries, piece = n + BATCH, PIECE
	while tries > 0 do
		local count = math.min(room_of(batch, n), piece)
		local ids = count > 0 and call('LPOP', k[READY], count)
		if not ids then
			return
		end
		tries, piece = tries - #ids, 2 * piece
		add_records(k, ids, batch)
	end
end

local function take_ranked(k, n, first, last, batch)
	while true do
		local count = math.min(room_of(batch, n), PIECE)
		local ids = count > 0 and call('ZRANGE', k[RANKED], first, last, 'BYSCORE', 'LIMIT', 0, count) or {}
		if #ids == 0 then
			return
		end
		call('ZREM', k[RANKED], unpack(ids))
		add_records(k, ids, batch)
	end
end

-- Higher priorities, then jobs with and without a key by halves where both wait, then lower priorities.
local function collect(k, now, n, limits, batch)
	local ranked = call('EXISTS', k[RANKED]) == 1
	if ranked then
		take_ranked(k, n, '-inf', '(0', batch)
	end
	if call('EXISTS', k[TURNS]) == 1 then
		local taken = #batch / 2
		take_keyed(k, now, taken + math.ceil((n - taken) / 2), limits, batch)
		take_plain(k, n, batch)
		take_keyed(k, now, n, limits, batch)
	else
		take_plain(k, n, batch)
	end
	if ranked then
		take_ranked(k, n, 0, '+inf', batch)
	end
end

-- A job with extras begins: what held it while it waited lets go. False where it has just expired.
local function begin(k, now, id, record, extras)
	if extras.expires then
		local till = call('ZSCORE', k[TIMERS], 'e:' .. id)
		call('ZREM', k[TIMERS], 'e:' .. id)
		if till and tonumber(till) <= now then
			if extras.key then
				key_runs_less(k, now, extras.key)
			end
			forget(k, now, id, record, extras)
			return false
		end
	end
	if extras.unique and extras.until_started then
		unique_release(k, now, id, extras.unique)
	end
	return true
end

-- Redis searches a hash of short values from its start until it has a long one, or 128. One with more jobs than a few
-- gets a value so long.
local FEW = 16

-- Leases up to n jobs to the owner: adds by three id, attempt, record. Returns how many expired instead.
local function take(k, now, n, limits, result)
	local batch, taken, expired = { bytes = 0 }, {}, 0
	collect(k, now, n, limits, batch)
	if #batch == 0 then
		return 0
	end
	local begun = call('EXISTS', k[STATE]) == 1
	for i = 1, #batch, 2 do
		local id, record = batch[i], batch[i + 1]
		local extras = extras_of(record)
		if extras and not begin(k, now, id, record, extras) then
			expired = expired + 1
		else
			local attempt = begun and integer(read_state(k, id) + 1) or '1'
			taken[#taken + 1] = id
			taken[#taken + 1] = attempt .. ' ' .. #record
			result[#result + 1] = id
			result[#result + 1] = attempt
			result[#result + 1] = record
		end
	end
	if #taken > 2 * FEW then
		taken[2] = string.format('%-65s', taken[2])
	end
	if #taken > 0 then
		call('HSET', k[TAKEN], unpack(taken))
		call('HINCRBY', k[META], 'running', #taken / 2)
	end
	return expired
end

-- ---- the exchange ----

local function earliest(now, nearest, key)
	local first = tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
	return first and math.min(first, nearest or first) or nearest
end

-- What could be fetched by somebody.
local function fetchable(k)
	return call('LLEN', k[READY]) + call('ZCARD', k[RANKED]) + call('LLEN', k[TURNS])
end

local function read_limits(args, i)
	local names = { 'concurrency', 'rate_count', 'rate_per', 'key_concurrency', 'key_rate_count', 'key_rate_per',
		'max_dead', 'dead_age', 'max_results' }
	local limits = {}
	for n, name in ipairs(names) do
		limits[name] = tonumber(args[i + n - 1])
	end
	return limits
end

-- Due work of the shard that no consumer need do. Returns how many waiting jobs expired.
local function tidy(k, now, limits)
	promote(k, now)
	call('ZREMRANGEBYSCORE', k[RECENT], '-inf', now - RECENT_FOR)
	forget_dead(k, now, call('ZRANGE', k[DEAD], '-inf', now - limits.dead_age, 'BYSCORE', 'LIMIT', 0, BATCH))
	drop_results(k, call('ZRANGE', k[RESULTS], '-inf', now, 'BYSCORE', 'LIMIT', 0, BATCH))
	return run_timers(k, now)
end

-- Jobs of this owner that somebody wants cancelled.
local function cancel_orders(k)
	local orders = {}
	if call('EXISTS', k[CANCELS]) == 1 then
		local ids = call('SRANDMEMBER', k[CANCELS], BATCH)
		for i, held in ipairs(call('HMGET', k[TAKEN], unpack(ids))) do
			if held then
				orders[#orders + 1] = ids[i]
			end
		end
	end
	return orders
end

local function pass_token(k, ready)
	if ready > 0 then
		push_token(k)
	else
		call('DEL', k[WAKE])
	end
end

-- args: limits (9), and no more for housekeeping alone; else owner, lease, identity ('': registered before), how many to
-- fetch, how many plain jobs are done, how many other verdicts, how many reports; then reports by three, plain jobs by
-- two, verdicts by six.
-- Returns: reclaimed (1), refused, ready, µs until something is due (-1: unknown), now, expired, ids to cancel, lapsed
-- owners, buried by four, deliveries by three.
local function exchange(k, args)
	local now = time_now()
	local limits = read_limits(args, 1)
	local expired = tidy(k, now, limits)
	local owner, lease, identity, fetch = args[10], tonumber(args[11]), args[12], tonumber(args[13])
	local deliveries, buried, refused, next_rate, cancelled = {}, {}, 0, nil, {}

	if owner then
		local n_plain, n_verdicts, n_reports = tonumber(args[14]), tonumber(args[15]), tonumber(args[16])
		local till = call('ZSCORE', k[OWNERS], owner)
		if till == '0' or (not till and identity == '') then
			return { 1, n_plain + n_verdicts, 0, '-1', integer(now), expired, {}, {}, {}, {} }
		end
		call('ZADD', k[OWNERS], now + lease, owner)
		if identity ~= '' then
			call('HSET', k[IDENTITIES], owner, identity)
		end
		local at = 17
		for _ = 1, n_reports do -- before the verdicts: a job that dies keeps its last one
			local held = call('HGET', k[TAKEN], args[at])
			if held and string.match(held, '^%d+') == args[at + 1] then
				call('HSET', k[KEPT], 'p:' .. args[at], args[at + 2])
			end
			at = at + 3
		end
		if n_plain > 0 then
			refused = finish_plain(k, args, at, n_plain)
			at = at + 2 * n_plain
		end
		for _ = 1, n_verdicts do
			refused = refused + judge(k, now, args, at, limits, buried)
			at = at + 6
		end
		cancelled = cancel_orders(k)
	end

	local meta = call('HMGET', k[META], 'paused', 'running', 'rate')
	local limited, running = meta[1], tonumber(meta[2] or 0)
	local room = owner and not limited and fetch or 0
	if limits.concurrency > 0 then
		room = math.min(room, limits.concurrency - running)
	end
	if limits.rate_count > 0 then
		local arrival, from
		room, from, arrival = rate_room(now, tonumber(meta[3] or 0), room, limits)
		if room > 0 then
			expired = expired + take(k, now, room, limits, deliveries)
			if #deliveries / 3 < room then -- fewer came than were allowed
				arrival = select(3, rate_room(now, tonumber(meta[3] or 0), #deliveries / 3, limits))
			end
			call('HSET', k[META], 'rate', integer(arrival))
		end
		local more, later = rate_room(now, arrival, 1, limits)
		if more == 0 then
			limited, next_rate = true, later
		end
	elseif room > 0 then
		expired = expired + take(k, now, room, limits, deliveries)
	end
	if limits.concurrency > 0 and running + #deliveries / 3 >= limits.concurrency then
		limited = true
	end

	local waiting = fetchable(k)
	local ready = limited and 0 or waiting
	local nearest = earliest(now, earliest(now, nil, k[DELAYED]), k[TIMERS])
	if next_rate and waiting > 0 then
		nearest = math.min(nearest or next_rate, next_rate)
	end
	pass_token(k, ready)
	local lapsed = call('ZRANGE', k[OWNERS], '-inf', now, 'BYSCORE', 'LIMIT', 0, 10)
	return { 0, refused, ready, nearest and integer(math.max(nearest - now, 0)) or '-1', integer(now), expired,
		cancelled, lapsed, buried, deliveries }
end

-- ---- owners ----

local LOST = '{"code":"worker_lost","message":"Its worker died or lost touch with Redis while running it."}'
local CRASHED = '{"code":"worker_crashed","message":"Its worker died while running its code."}'

-- One job of a dead owner.
local function take_back(k, now, id, held, mode, culprit, limits, buried)
	local record = call('HGET', k[BODY], id)
	local attempt = tonumber(string.match(held, '^%d+')) or 1
	call('HDEL', k[TAKEN], id)
	call('HINCRBY', k[META], 'running', -1)
	if not record then
		return
	end
	local extras = extras_of(record)
	if extras and extras.key then
		key_runs_less(k, now, extras.key)
	end
	if call('SREM', k[CANCELS], id) == 1 then
		forget(k, now, id, record, extras)
		return
	end
	local _, crashes = read_state(k, id)
	if id == culprit then
		fail(k, now, id, record, extras, attempt, crashes + 1, CRASHED, 0, limits, buried)
	elseif mode == 'lost' then
		fail(k, now, id, record, extras, attempt, crashes, LOST, 0, limits, buried)
	else
		place(k, now, id, extras, true)
	end
end

-- args: limits (9), owner, 'lost' (only where its lease is over) or 'died', culprit's id or ''. Returns how many were
-- taken back, how many are left for further calls, buried by four.
local function reclaim(k, args)
	local now = time_now()
	local limits = read_limits(args, 1)
	local owner, mode, culprit = args[10], args[11], args[12]
	local till = call('ZSCORE', k[OWNERS], owner)
	local buried, count = {}, 0
	if mode == 'lost' and till and tonumber(till) > now then
		return { 0, 0, {} }
	end
	if till then
		call('ZADD', k[OWNERS], 0, owner)
	end
	local held = call('HRANDFIELD', k[TAKEN], BATCH, 'WITHVALUES')
	for i = 1, #held, 2 do
		take_back(k, now, held[i], held[i + 1], mode, culprit, limits, buried)
		count = count + 1
	end
	local left = call('HLEN', k[TAKEN])
	if left == 0 then
		call('ZREM', k[OWNERS], owner)
		call('HDEL', k[IDENTITIES], owner)
	end
	pass_token(k, fetchable(k))
	return { count, left, buried }
end

-- args: owner. It has given everything back.
local function leave(k, args)
	if call('EXISTS', k[TAKEN]) == 0 then
		call('ZREM', k[OWNERS], args[1])
		call('HDEL', k[IDENTITIES], args[1])
	end
	return 0
end

-- Returns id and "attempt bytes" of each job of the owner.
local function held(k)
	return call('HGETALL', k[TAKEN])
end

-- Returns now, then by three: owner, end of its lease, identity.
local function owners(k)
	local result = { integer(time_now()) }
	local found = call('ZRANGE', k[OWNERS], 0, -1, 'WITHSCORES')
	for i = 1, #found, 2 do
		result[#result + 1] = found[i]
		result[#result + 1] = found[i + 1]
		result[#result + 1] = call('HGET', k[IDENTITIES], found[i]) or ''
	end
	return result
end

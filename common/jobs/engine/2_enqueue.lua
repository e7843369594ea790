-- ---- enqueue ----

-- When the job is due; nil: now.
local function due_time(now, when)
	if when == '' then
		return nil
	end
	local due = string.sub(when, 1, 1) == '+' and now + tonumber(when) or tonumber(when)
	return due > now and due or nil
end

-- The last payload wins, and starts the wait anew; the header stays, by which it lies where it does. Its key is released
-- when it starts, so it waits.
local function debounce(k, now, id, extras, record)
	local before = read_record(k, id)
	local after = (string.match(before, '^[^\n]*\n[^\n]*\n') or '')
		.. (string.match(record, '^[^\n]*\n[^\n]*\n(.*)$') or '')
	call('HSET', k[BODY], id, after)
	call('HINCRBY', k[META], 'bytes', #after - #before)
	call('ZADD', k[DELAYED], 'XX', now + extras.debounce, id)
end

-- Adds a job with extras. Returns the id that holds its unique key where it is another's.
local function add_with_extras(k, now, id, due, record, extras)
	if extras.unique then
		local holder = unique_holder(k, now, extras.unique)
		if holder and holder ~= id and extras.debounce and is_live(k, holder) then
			debounce(k, now, holder, extras, record)
		end
		if holder then
			return holder ~= id and holder or nil
		end
		unique_hold(k, now, id, extras)
	end
	call('HSET', k[BODY], id, record)
	call('HINCRBY', k[META], 'bytes', #record)
	if extras.expires then
		call('ZADD', k[TIMERS], now + extras.expires, 'e:' .. id)
	end
	if extras.debounce then
		due = now + extras.debounce
	end
	if due then
		call('ZADD', k[DELAYED], due, id)
	else
		place(k, now, id, extras, false)
	end
	return nil
end

-- A call that was executed before, though its reply was lost: what became of each job.
local function holders(k, now, args)
	local existing = {}
	for i = 4, #args, 3 do
		local extras = extras_of(args[i + 2])
		local holder = extras and extras.unique and unique_holder(k, now, extras.unique)
		if holder and holder ~= args[i] then
			existing[#existing + 1] = (i - 4) / 3
			existing[#existing + 1] = holder
		end
	end
	return existing
end

-- args: token of the call ('': none), max_bytes (0: none), whether live ids stay as they are (1), then by three: id,
-- when it is due ('', '+' and µs from now, or µs), record. Nothing new is made of records: Redis' Lua hashes each byte of
-- every string.
-- Returns by two: index from 0 and holder of the unique key, of those that were not added.
local function enqueue(k, args)
	local now = time_now()
	local max_bytes, only_new = tonumber(args[2]), args[3] == '1'
	local bodies, ready, delayed, existing = {}, {}, {}, {}
	local bytes, first = 0, call('ZRANGE', k[DELAYED], 0, 0, 'WITHSCORES')[2]

	if args[1] ~= '' and call('ZADD', k[RECENT], 'NX', now, args[1]) == 0 then
		return holders(k, now, args)
	end
	if max_bytes > 0 then
		local wanted = tonumber(call('HGET', k[META], 'bytes') or 0)
		for i = 4, #args, 3 do
			wanted = wanted + #args[i + 2]
		end
		if wanted > max_bytes then
			if args[1] ~= '' then
				call('ZREM', k[RECENT], args[1])
			end
			return redis.error_reply('FULL the queue holds its max_bytes')
		end
	end
	for i = 4, #args, 3 do
		local id, due, record = args[i], due_time(now, args[i + 1]), args[i + 2]
		local known = only_new and call('HEXISTS', k[BODY], id) == 1
		local extras = not known and extras_of(record)
		if extras then
			local holder = add_with_extras(k, now, id, due, record, extras)
			if holder then
				existing[#existing + 1] = (i - 4) / 3
				existing[#existing + 1] = holder
			end
		elseif not known then
			bodies[#bodies + 1] = id
			bodies[#bodies + 1] = record
			bytes = bytes + #record
			if due then
				delayed[#delayed + 1] = due
				delayed[#delayed + 1] = id
			else
				ready[#ready + 1] = id
			end
		end
	end
	if #bodies > 0 then
		call('HSET', k[BODY], unpack(bodies))
		call('HINCRBY', k[META], 'bytes', bytes)
	end
	if #ready > 0 then
		call('RPUSH', k[READY], unpack(ready))
	end
	if #delayed > 0 then
		call('ZADD', k[DELAYED], unpack(delayed))
	end
	-- Consumers know when they are to look again: only what is due earlier concerns them.
	local first_now = call('ZRANGE', k[DELAYED], 0, 0, 'WITHSCORES')[2]
	if #ready > 0 or first_now ~= first or call('EXISTS', k[RANKED], k[TURNS]) > 0 then
		push_token(k)
	end
	return existing
end

-- args: ids. Returns for each whether it is taken: an enqueue would leave it as it is.
local function exist(k, args)
	local found = {}
	for i, id in ipairs(args) do
		found[i] = call('HEXISTS', k[BODY], id)
	end
	return found
end

-- args: a random text. Returns the text that was there first.
local function epoch(k, args)
	call('HSETNX', k[META], 'epoch', args[1])
	return call('HGET', k[META], 'epoch')
end

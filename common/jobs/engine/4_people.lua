-- ---- people ----

-- The record of what is next in line; nil where nothing waits.
local function next_waiting(k)
	local id = call('ZRANGE', k[RANKED], 0, 0)[1]
	for i = 0, 9 do -- past some ghosts
		local record = id and read_record(k, id)
		if record then
			return record
		end
		id = call('LINDEX', k[READY], i)
	end
	local keyed = call('ZRANGE', k[KEYED], 0, 0)[1]
	return keyed and read_record(k, string.sub(keyed, -ID_SIZE))
end

-- Returns ready, delayed, running, dead, bytes, µs since the enqueue of the next job, paused, keys, consumers, results.
local function stats(k)
	local now = time_now()
	local meta = call('HMGET', k[META], 'bytes', 'ghosts', 'running', 'paused')
	local record = next_waiting(k)
	local oldest = record and math.max(now - tonumber(string.match(record, '^%d+') or now), 0) or 0
	local ready = call('LLEN', k[READY]) + call('ZCARD', k[RANKED]) + call('ZCARD', k[KEYED]) - (meta[2] or 0)
	return { ready, call('ZCARD', k[DELAYED]), tonumber(meta[3] or 0), call('ZCARD', k[DEAD]), tonumber(meta[1] or 0),
		oldest, meta[4] and 1 or 0, call('HLEN', k[KEYED_KEYS]), call('ZCOUNT', k[OWNERS], integer(now), '+inf'),
		call('ZCARD', k[RESULTS]) }
end

-- Adds by seven: id, attempts, crashes, time of the state, time and header of the record, last error, owner.
local function add_listing(k, result, id, attempts, at, owner)
	local record = read_record(k, id)
	if not record then
		return
	end
	local begun, crashes = read_state(k, id)
	local message = string.match(call('HGET', k[STATE], id) or '', '\n(.*)$') or ''
	for _, value in ipairs({ id, integer(attempts or begun), integer(crashes), at,
		string.match(record, '^[^\n]*\n[^\n]*') or '0\n{}', message, owner }) do
		result[#result + 1] = value
	end
end

local function list_zset(k, result, key, offset, limit, latest_first)
	local found = call(latest_first and 'ZREVRANGE' or 'ZRANGE', key, offset, offset + limit - 1, 'WITHSCORES')
	for i = 1, #found, 2 do
		add_listing(k, result, found[i], nil, integer(tonumber(found[i + 1])), '')
	end
end

-- In about the order in which they will run: keys take turns.
local function list_ready(k, result, offset, limit)
	local higher = call('ZCOUNT', k[RANKED], '-inf', '(0')
	local parts = {
		{ higher, 'ZRANGE', k[RANKED], 0 },
		{ call('LLEN', k[READY]), 'LRANGE', k[READY], 0 },
		{ call('ZCARD', k[KEYED]), 'ZRANGE', k[KEYED], 0 },
		{ call('ZCARD', k[RANKED]) - higher, 'ZRANGE', k[RANKED], higher },
	}
	for _, part in ipairs(parts) do
		local size, command, key, from = unpack(part)
		local count = math.min(limit, math.max(size - offset, 0))
		if count > 0 then
			for _, member in ipairs(call(command, key, from + offset, from + offset + count - 1)) do
				add_listing(k, result, string.sub(member, -ID_SIZE), nil, '0', '')
			end
			limit = limit - count
		end
		offset = math.max(offset - size, 0)
	end
end

-- args: state, offset, limit, and for running ones the owner whose they are.
local function list(k, args)
	local result, state, offset, limit = {}, args[1], tonumber(args[2]), tonumber(args[3])
	if state == 'ready' then
		list_ready(k, result, offset, limit)
	elseif state == 'running' then
		local all = call('HGETALL', k[TAKEN])
		for i = 1 + 2 * offset, math.min(#all, 2 * (offset + limit)), 2 do
			add_listing(k, result, all[i], tonumber(string.match(all[i + 1], '^%d+')), '0', args[4])
		end
	else
		list_zset(k, result, k[state == 'dead' and DEAD or DELAYED], offset, limit, state == 'dead')
	end
	return result
end

-- The owner, by its number behind the shard's own keys, that runs the job, and the attempt. All owners' taken:… are
-- given; nil and false where their number is no longer right.
local function find_owner(k, id)
	if #k - TAKEN + 1 ~= call('ZCARD', k[OWNERS]) then
		return nil, false
	end
	for i = TAKEN, #k do
		local held = call('HGET', k[i], id)
		if held then
			return i - TAKEN, tonumber(string.match(held, '^%d+'))
		end
	end
	return nil, nil
end

-- args: id. Returns nothing where there is none; else its listing (its owner as a number), state ('' where only the
-- result is left), payload, report, result. An error where the owners have changed.
local function show(k, args)
	local id, result = args[1], {}
	local record = read_record(k, id)
	local kept = call('HMGET', k[KEPT], 'p:' .. id, 'r:' .. id)
	if not record then
		return kept[2] and { id, '0', '0', '0', '0\n{}', '', '', '', '', '', kept[2] } or {}
	end
	local owner, attempt = find_owner(k, id)
	if attempt == false then
		return -1
	end
	local due, dead = call('ZSCORE', k[DELAYED], id), call('ZSCORE', k[DEAD], id)
	add_listing(k, result, id, attempt, integer(tonumber(due or dead or 0)), owner and integer(owner) or '')
	result[#result + 1] = owner and 'running' or due and 'delayed' or dead and 'dead' or 'ready'
	result[#result + 1] = string.match(record, '^[^\n]*\n[^\n]*\n(.*)$') or ''
	result[#result + 1] = kept[1] or ''
	result[#result + 1] = kept[2] or ''
	return result
end

-- args: ids of dead jobs. Returns how many are ready again, with all their attempts, and with their unique keys where
-- nobody has taken these meanwhile.
local function retry(k, args)
	local now, count = time_now(), 0
	for _, id in ipairs(args) do
		if call('ZREM', k[DEAD], id) == 1 then
			local record = call('HGET', k[BODY], id)
			local extras = record and extras_of(record)
			call('HDEL', k[STATE], id)
			if extras and extras.unique and not unique_holder(k, now, extras.unique) then
				call('HSET', k[UNIQUE], extras.unique, id .. ' 0 0')
			end
			place(k, now, id, extras, false)
			count = count + 1
		end
	end
	if count > 0 then
		push_token(k)
	end
	return count
end

-- args: id. Returns 1; 0 where there is no such job; -1 where the owners have changed.
local function cancel(k, args)
	local now, id = time_now(), args[1]
	local record = read_record(k, id)
	if not record then
		return 0
	end
	local owner, attempt = find_owner(k, id)
	if attempt == false then
		return -1
	end
	if owner then
		call('SADD', k[CANCELS], id)
	elseif call('ZSCORE', k[DEAD], id) then
		forget_dead(k, now, { id })
	else
		remove_waiting(k, now, id, record)
	end
	return 1
end

local function key_waits_less(k, now, key, count)
	local waiting, running, arrival, parked = read_key(k, key)
	if waiting <= count then
		parked = PARKED_NOT
	end
	write_key(k, now, key, math.max(waiting - count, 0), running, arrival, parked)
end

-- Takes waiting jobs of keys out of their places: of those in turn first, which is quicker than finding a key there.
local function pop_keyed(k, now, ids)
	local turns = 0
	while #ids < BATCH and turns < BATCH do
		local key = call('LPOP', k[TURNS])
		if not key then
			break
		end
		local members = call('ZRANGE', k[KEYED], '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', 0,
			BATCH - #ids)
		for _, member in ipairs(members) do
			call('ZREM', k[KEYED], member)
			ids[#ids + 1] = string.sub(member, -ID_SIZE)
		end
		key_waits_less(k, now, key, #members > 0 and #members or math.huge)
		if read_key(k, key) > 0 then
			call('LPUSH', k[TURNS], key)
		end
		turns = turns + 1
	end
	if call('EXISTS', k[TURNS]) == 1 then
		return
	end
	for i, text in ipairs(call('ZPOPMIN', k[KEYED], BATCH)) do
		if i % 2 == 1 then
			key_waits_less(k, now, string.match(text, '^(.-)%z') or '', 1)
			ids[#ids + 1] = string.sub(text, -ID_SIZE)
		end
	end
end

local function pop_some(k, now, state)
	if state == 'delayed' or state == 'dead' then
		local ids = {}
		for i, text in ipairs(call('ZPOPMIN', k[state == 'dead' and DEAD or DELAYED], BATCH)) do
			ids[#ids + 1] = i % 2 == 1 and text or nil
		end
		return ids
	end
	local ids = call('LPOP', k[READY], BATCH) or {}
	for i, text in ipairs(call('ZPOPMIN', k[RANKED], BATCH)) do
		ids[#ids + 1] = i % 2 == 1 and text or nil
	end
	pop_keyed(k, now, ids)
	return ids
end

-- args: state. Returns how many jobs were removed, how many places were looked at (0 when none is left), and the ids of
-- the durable ones.
local function drain(k, args)
	local now, removed, durable = time_now(), 0, {}
	local ids = pop_some(k, now, args[1])
	for _, id in ipairs(ids) do
		local record = read_record(k, id)
		if record then
			if string.find(string.match(record, '^[^\n]*\n([^\n]*)') or '', '"durable":true', 1, true) then
				durable[#durable + 1] = id
			end
			forget(k, now, id, record, extras_of(record))
			removed = removed + 1
		else
			lay_ghosts(k, { id })
		end
	end
	return { removed, #ids, durable }
end

-- args: 1 or 0.
local function pause(k, args)
	if args[1] == '1' then
		call('HSET', k[META], 'paused', 1)
	else
		call('HDEL', k[META], 'paused')
		push_token(k)
	end
	return 0
end

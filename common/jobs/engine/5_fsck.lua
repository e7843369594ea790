-- ---- the checker ----

-- args: repair (1 or 0), then all owners, whose taken:… follow as further keys. Returns how many findings there were and
-- lines of at most 100; -1 where the owners have changed.
local function fsck(k, args)
	if #k - TAKEN + 1 ~= call('ZCARD', k[OWNERS]) then
		return -1
	end
	local now, repair = time_now(), args[1] == '1'
	local lines, findings = {}, 0
	local places, extras_by_id = {}, {} -- id → where; id → its extras
	local ghosts, bytes, running = 0, 0, 0
	local waiting_of, running_of = {}, {}

	local function find(format, ...)
		findings = findings + 1
		if #lines < 100 then
			lines[#lines + 1] = string.format(format, ...)
		end
	end

	local laid = {} -- ids that ghosts should have
	for _, id in ipairs(call('HKEYS', k[BODY])) do
		local size = call('HSTRLEN', k[BODY], id)
		if size == #GHOST and not is_live(k, id) then
			laid[id] = true
		else
			places[id] = ''
			bytes = bytes + size
		end
	end
	-- Where an id is; `ghostly` places may hold ids without a body. `remove` takes a surplus one out.
	local function visit(id, where, ghostly, remove)
		local place_of = places[id]
		if place_of == nil and ghostly then
			ghosts = ghosts + 1
			laid[id] = nil
		elseif place_of == nil then
			find('%s is in %s, but has no body', id, where)
			if repair then
				remove()
			end
			return false
		elseif place_of ~= '' then
			find('%s is in %s and in %s', id, place_of, where)
			if repair then
				remove()
			end
			return false
		else
			places[id] = where
		end
		return true
	end
	for _, name in ipairs({ DELAYED, RANKED, DEAD }) do
		for _, id in ipairs(call('ZRANGE', k[name], 0, -1)) do
			visit(id, name == DELAYED and 'delayed' or name == DEAD and 'dead' or 'ranked', false, function()
				call('ZREM', k[name], id)
			end)
		end
	end
	for i = 2, #args do
		local taken, owner = k[TAKEN + i - 2], args[i]
		local ids = call('HKEYS', taken)
		for _, id in ipairs(ids) do
			if visit(id, 'taken:' .. owner, false, function() call('HDEL', taken, id) end) then
				running = running + 1
				local record = call('HGET', k[BODY], id)
				local extras = extras_of(record)
				if extras and extras.key then
					running_of[extras.key] = (running_of[extras.key] or 0) + 1
				end
			end
		end
	end
	for _, member in ipairs(call('ZRANGE', k[KEYED], 0, -1)) do
		local key = string.match(member, '^(.-)%z') or ''
		if visit(string.sub(member, -ID_SIZE), 'keyed', true, function() call('ZREM', k[KEYED], member) end) then
			waiting_of[key] = (waiting_of[key] or 0) + 1
		end
	end
	for _, id in ipairs(call('LRANGE', k[READY], 0, -1)) do
		visit(id, 'ready', true, function() call('LREM', k[READY], 1, id) end)
	end

	for id in pairs(laid) do
		find('%s is gone, and its ghost too', id)
		if repair then
			call('HDEL', k[BODY], id)
		end
	end
	for id, where in pairs(places) do
		if where == '' then
			find('%s has a body, but is nowhere', id)
			if repair then
				local extras = extras_of(call('HGET', k[BODY], id))
				place(k, now, id, extras, true)
				if extras and extras.key then
					waiting_of[extras.key] = (waiting_of[extras.key] or 0) + 1
				end
			end
		end
	end
	for _, id in ipairs(call('HKEYS', k[STATE])) do
		if places[id] == nil then
			find('%s has attempts, but no body', id)
			if repair then
				call('HDEL', k[STATE], id)
			end
		end
	end
	for _, field in ipairs(call('HKEYS', k[KEPT])) do
		local kind, id = string.sub(field, 1, 2), string.sub(field, 3)
		if kind == 'p:' and places[id] == nil or kind == 'r:' and not call('ZSCORE', k[RESULTS], id) then
			find('%s is kept for ever', field)
			if repair then
				call('HDEL', k[KEPT], field)
			end
		end
	end
	for _, id in ipairs(call('SMEMBERS', k[CANCELS])) do
		if not string.find(places[id] or '', '^taken') then
			find('%s is to be cancelled, but does not run', id)
			if repair then
				call('SREM', k[CANCELS], id)
			end
		end
	end
	local unique = call('HGETALL', k[UNIQUE])
	for i = 1, #unique, 2 do
		local id, till = read_unique(k, unique[i])
		if not id or (places[id] == nil and tonumber(till) == 0) then
			find('the unique key %s is held by %s, which is gone', unique[i], id or 'nobody')
			if repair then
				call('HDEL', k[UNIQUE], unique[i])
			end
		end
	end
	for _, timer in ipairs(call('ZRANGE', k[TIMERS], 0, -1)) do
		if string.sub(timer, 1, 2) == 'e:' then
			local where = places[string.sub(timer, 3)]
			if where == nil or where == 'dead' or string.find(where, '^taken') then
				find('%s expires, but does not wait', string.sub(timer, 3))
				if repair then
					call('ZREM', k[TIMERS], timer)
				end
			end
		end
	end

	local turns = {}
	for _, key in ipairs(call('LRANGE', k[TURNS], 0, -1)) do
		turns[key] = (turns[key] or 0) + 1
	end
	local keys = {}
	for _, key in ipairs(call('HKEYS', k[KEYED_KEYS])) do
		keys[key] = true
	end
	for _, counted in ipairs({ waiting_of, running_of, turns }) do
		for key in pairs(counted) do
			keys[key] = true
		end
	end
	for key in pairs(keys) do
		local waiting, busy, arrival, parked = read_key(k, key)
		local waits, runs = waiting_of[key] or 0, running_of[key] or 0
		local turn = turns[key] or 0
		local right = (waits > 0 and parked == PARKED_NOT) and 1 or 0
		if waiting ~= waits or busy ~= runs or turn ~= right or (parked == PARKED_FULL and runs == 0) then
			find('key %s: %d wait (%d counted), %d run (%d counted), %d times in turn', key, waits, waiting, runs, busy,
				turn)
			if repair then
				call('LREM', k[TURNS], 0, key)
				if waits > 0 then
					call('RPUSH', k[TURNS], key)
				end
				write_key(k, now, key, waits, runs, arrival, PARKED_NOT)
			end
		end
	end

	local counters = { bytes = bytes, ghosts = ghosts, running = running }
	for name, value in pairs(counters) do
		local counted = tonumber(call('HGET', k[META], name) or 0)
		if counted ~= value then
			find('%s are %d, not %d as counted', name, value, counted)
			if repair then
				call('HSET', k[META], name, value)
			end
		end
	end
	local tokens = call('LLEN', k[WAKE])
	if tokens > 1 then
		find('%d wake tokens', tokens)
		if repair then
			call('LTRIM', k[WAKE], 0, 0)
		end
	end
	if repair and findings > 0 then
		push_token(k)
	end
	return { findings, lines }
end

-- GCRA, the generic cell rate algorithm. A key holds the time, in microseconds of this server's clock, at which its
-- bucket is empty again; taking one from it adds an interval. No key: it is empty. KEYS are buckets, all of one slot;
-- ARGV has for each of them the interval, and how far ahead of now the time may be: the rule's period.

local function now()
	local time = redis.call('TIME')
	return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- No bucket is further ahead than its period, or what was charged beyond, once more that: not where the rule has changed,
-- nor where the clock was set back.
local function empty_at(key, present, period)
	local at = tonumber(string.match(redis.call('GET', key) or '', '^%d+$') or 0)
	return math.min(math.max(at, present), present + 2 * period)
end

local function put(key, at, present)
	if at <= present then
		redis.call('DEL', key)
	else
		redis.call('SET', key, string.format('%.0f', at), 'PX', string.format('%.0f', math.ceil((at - present) / 1000)))
	end
end

-- The longest wait until one can be taken from each, and whose it is; {0, 0}: there is none.
local function longest_wait(keys, args, present)
	local wait, which = 0, 0
	for i, key in ipairs(keys) do
		local interval, period = tonumber(args[2 * i - 1]), tonumber(args[2 * i])
		local own = empty_at(key, present, period) + interval - period - present
		if own > wait then
			wait, which = own, i - 1
		end
	end
	return { wait, which }
end

-- Adds an interval to each, times `sign`.
local function move(keys, args, present, sign)
	for i, key in ipairs(keys) do
		local interval, period = tonumber(args[2 * i - 1]), tonumber(args[2 * i])
		put(key, empty_at(key, present, period) + sign * interval, present)
	end
end

local function take(keys, args)
	local present = now()
	local longest = longest_wait(keys, args, present)
	if longest[1] == 0 then
		move(keys, args, present, 1)
	end
	return longest
end

local function charge(keys, args)
	move(keys, args, now(), 1)
	return { 0, 0 }
end

local function give(keys, args)
	move(keys, args, now(), -1)
	return { 0, 0 }
end

local function reset(keys)
	redis.call('DEL', unpack(keys))
	return { 0, 0 }
end

-- What makes room is let pass where memory is full.
redis.register_function({ function_name = VERSION .. '_take', callback = take })
redis.register_function({ function_name = VERSION .. '_charge', callback = charge })
redis.register_function({ function_name = VERSION .. '_give', callback = give, flags = { 'allow-oom' } })
redis.register_function({ function_name = VERSION .. '_reset', callback = reset, flags = { 'allow-oom' } })

-- ---- what can be called ----

local function register(name, callback, flags)
	redis.register_function({ function_name = VERSION .. '_' .. name, flags = flags, callback = function(k, args)
		call = redis.call
		return callback(k, args)
	end })
end

-- Producers are refused, unexecuted, by a server whose memory is full. What ends, removes or takes jobs is let pass.
register('enqueue', enqueue, {})
register('epoch', epoch, {})
register('exchange', exchange, { 'allow-oom' })
register('reclaim', reclaim, { 'allow-oom' })
register('leave', leave, { 'allow-oom' })
register('retry', retry, { 'allow-oom' })
register('cancel', cancel, { 'allow-oom' })
register('drain', drain, { 'allow-oom' })
register('pause', pause, { 'allow-oom' })
register('fsck', fsck, { 'allow-oom' })
register('exist', exist, { 'no-writes' })
register('held', held, { 'no-writes' })
register('owners', owners, { 'no-writes' })
register('stats', stats, { 'no-writes' })
register('list', list, { 'no-writes' })
register('show', show, { 'no-writes' })

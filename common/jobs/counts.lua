#!lua flags=no-writes
-- KEYS: ready delayed inflight dead. Returns how many are in each.
return {
	redis.call('LLEN', KEYS[1]),
	redis.call('ZCARD', KEYS[2]),
	redis.call('ZCARD', KEYS[3]),
	redis.call('ZCARD', KEYS[4]),
}

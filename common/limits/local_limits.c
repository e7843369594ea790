#include "common/limits/local_limits.h"

#define WAYS 8 /* places where a bucket may stand */
#define SETS (LOCAL_LIMITS_SIZE / WAYS)

struct place {
	unsigned char id[BUCKET_ID_SIZE];
	int64_t empty_at;   /* 0: the place is free */
	int64_t touched_at; /* however often others come, what is in use stays */
};

struct local_limits {
	struct place places[SETS][WAYS];
};

struct local_limits *local_limits_new(void)
{
	return allocate(sizeof(struct local_limits));
}

struct local_limits *local_limits_free(struct local_limits *limits)
{
	free(limits);
	return NULL;
}

static struct place *set_of(struct local_limits *limits, const struct bucket *bucket)
{
	uint32_t hash;

	memcpy(&hash, bucket->id, sizeof(hash));
	return limits->places[hash % SETS];
}

static struct place *find(struct local_limits *limits, const struct bucket *bucket)
{
	struct place *set = set_of(limits, bucket);

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].empty_at && memcmp(set[i].id, bucket->id, sizeof(bucket->id)) == 0)
			return &set[i];
	return NULL;
}

/* A place for a bucket that has none: one that is empty again, else the one touched longest ago. */
static struct place *make_room(struct local_limits *limits, const struct bucket *bucket, int64_t now)
{
	struct place *set = set_of(limits, bucket), *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].empty_at <= now)
			return &set[i];
		if (set[i].touched_at < oldest->touched_at)
			oldest = &set[i];
	}
	return oldest;
}

static int64_t interval_of(const struct bucket *bucket)
{
	return bucket->rate.per / bucket->rate.count;
}

static int64_t empty_at(const struct place *place, int64_t now)
{
	return place && place->empty_at > now ? place->empty_at : now;
}

static int ask(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count,
	       prong_duration *ret_wait, size_t *ret_which)
{
	prong_duration wait = 0;

	for (size_t i = 0; i < count; i++) {
		struct place *place = find(limits, &buckets[i]);
		int64_t own = empty_at(place, now) + interval_of(&buckets[i]) - buckets[i].rate.per - now;

		if (place)
			place->touched_at = now;
		if (own > wait) {
			wait = own;
			*ret_which = i;
		}
	}
	if (wait == 0)
		return 0;
	*ret_wait = wait;
	return -EDQUOT;
}

void local_limits_charge(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct place *place = find(limits, &buckets[i]);
		int64_t at = empty_at(place, now) + interval_of(&buckets[i]), latest = now + 2 * buckets[i].rate.per;

		if (!place)
			place = make_room(limits, &buckets[i], now);
		memcpy(place->id, buckets[i].id, sizeof(place->id));
		place->empty_at = at < latest ? at : latest;
		place->touched_at = now;
	}
}

int local_limits_take(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count,
		      prong_duration *ret_wait, size_t *ret_which)
{
	int r = ask(limits, now, buckets, count, ret_wait, ret_which);

	if (r == 0)
		local_limits_charge(limits, now, buckets, count);
	return r;
}

void local_limits_give(struct local_limits *limits, int64_t now, const struct bucket buckets[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct place *place = find(limits, &buckets[i]);

		if (place)
			place->empty_at = empty_at(place, now) - interval_of(&buckets[i]);
	}
}

void local_limits_reset(struct local_limits *limits, const struct bucket buckets[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct place *place = find(limits, &buckets[i]);

		if (place)
			place->empty_at = 0;
	}
}

#include "common/security/revocations.h"

#include <inttypes.h>
#include <prong/database.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/context.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/postgres/postgres.h"
#include "common/security/feed.h"

#define EVENT "revoked" /* in the feed; its text is "UUID EPOCH", or several with commas between */
#define EVENT_MAX 100	/* of them in one event */

/* A transaction's rows are seen when it commits, and are as old then as it took: looks overlap by this much. */
#define LATE_COMMITS PRONG_MINUTES(2)
#define KEPT (REVOCATIONS_KEPT + 2 * LATE_COMMITS)

#define LOOK_EVERY PRONG_SECONDS(10)
#define LOOK_WITHOUT_FEED PRONG_SECONDS(1)
#define LOOK_TIMEOUT PRONG_SECONDS(5)

#define MIN_SLOTS 64
#define RENEW_EVERY 60 /* seconds */

struct revocation {
	prong_uuid subject;
	int32_t epoch;	  /* tokens of earlier ones are void; 0: the slot is free */
	uint32_t expires; /* monotonic seconds */
};

struct revocations {
	struct runtime *runtime;
	struct revocation *slots; /* open addressing, at most half full; what expired stays until it is in the way */
	size_t n_slots, count;
	uint32_t renewed_at; /* monotonic seconds */
	uint64_t seed;
	bool connected;	   /* to the feed */
	int64_t looked_at; /* when the last look that succeeded began, monotonic µs; 0: none yet */
	struct coroutine *looker;
	bool asleep; /* the looker */
	bool wanted; /* a look, as soon as possible */
};

/* ---- the table ---- */

static uint32_t now_seconds(void)
{
	return (uint32_t)(monotonic_us() / PRONG_SECONDS(1));
}

/* The last bytes of a UUID are random, the first are its time. */
static size_t place_of(const struct revocations *revocations, prong_uuid subject)
{
	uint64_t half[2];

	memcpy(half, subject.bytes, sizeof(half));
	return ((half[0] ^ half[1] ^ revocations->seed) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

static struct revocation *slot_of(const struct revocations *revocations, prong_uuid subject)
{
	size_t mask = revocations->n_slots - 1, place = place_of(revocations, subject) & mask;

	while (revocations->slots[place].epoch &&
	       memcmp(&revocations->slots[place].subject, &subject, sizeof(subject)) != 0)
		place = (place + 1) & mask;
	return &revocations->slots[place];
}

/* Makes the table anew, without what has expired and with room for as much again. */
static void renew(struct revocations *revocations)
{
	_cleanup_(freep) struct revocation *old = revocations->slots;
	size_t n_old = revocations->n_slots, kept = 0;
	uint32_t now = now_seconds();

	for (size_t i = 0; i < n_old; i++)
		kept += old[i].epoch && old[i].expires >= now;
	revocations->n_slots = MIN_SLOTS;
	while (revocations->n_slots < 4 * kept)
		revocations->n_slots *= 2;
	revocations->slots = allocate_array(revocations->n_slots, sizeof(*revocations->slots));
	for (size_t i = 0; i < n_old; i++)
		if (old[i].epoch && old[i].expires >= now)
			*slot_of(revocations, old[i].subject) = old[i];
	revocations->count = kept;
	revocations->renewed_at = now;
}

/* `age`: since it was revoked. */
static void note(struct revocations *revocations, prong_uuid subject, int32_t epoch, prong_duration age)
{
	uint32_t expires = now_seconds() + 1;
	struct revocation *slot;

	if (epoch <= 0 || age > KEPT)
		return;
	expires += (uint32_t)((KEPT - (age > 0 ? age : 0)) / PRONG_SECONDS(1));
	if (2 * (revocations->count + 1) > revocations->n_slots)
		renew(revocations);
	slot = slot_of(revocations, subject);
	revocations->count += !slot->epoch;
	slot->subject = subject;
	slot->epoch = epoch > slot->epoch ? epoch : slot->epoch;
	slot->expires = expires > slot->expires ? expires : slot->expires;
}

bool revocations_cover(const struct revocations *revocations, const struct principal *principal)
{
	static const prong_uuid none;
	const prong_uuid *subjects[] = { &principal->account_id, &principal->session_id, &principal->api_key_id };

	if (!revocations || revocations->count == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		if (!prong_uuid_equal(*subjects[i], none) &&
		    slot_of(revocations, *subjects[i])->epoch > principal->epoch)
			return true;
	return false;
}

/* ---- what PostgreSQL has ---- */

struct revocation_row {
	prong_uuid subject;
	int32_t epoch;
	int64_t age; /* µs */
};

/* clang-format off */
PRONG_SCHEMA(revocation_row,
	PRONG_FIELD(revocation_row, subject),
	PRONG_FIELD(revocation_row, epoch),
	PRONG_FIELD(revocation_row, age));
/* clang-format on */

/* Ages, by the server's clock alone. */
int revocations_load(struct revocations *revocations, struct prong_ctx *ctx)
{
	int64_t began = monotonic_us(), since = KEPT;
	struct revocation_row *rows;
	size_t count;
	int r;

	if (revocations->looked_at && began - revocations->looked_at + LATE_COMMITS < KEPT)
		since = began - revocations->looked_at + LATE_COMMITS;
	r = prong_query(ctx, revocation_row, &rows, &count,
			"SELECT subject, coalesce(epoch, 2147483647) AS epoch,"
			" (extract(epoch FROM now() - revoked_at) * 1000000)::bigint AS age FROM prong_revocations"
			" WHERE revoked_at > now() - $1::float8 * interval '1 microsecond'",
			since);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		note(revocations, rows[i].subject, rows[i].epoch, rows[i].age);
	revocations->looked_at = began;
	return 0;
}

static int look(struct revocations *revocations)
{
	struct coroutine *self = coroutine_current();
	struct prong_ctx ctx;
	int r;

	context_init(&ctx, revocations->runtime);
	coroutine_set_deadline(self, monotonic_us() + LOOK_TIMEOUT);
	r = revocations_load(revocations, &ctx);
	context_end(&ctx);
	coroutine_set_deadline(self, INT64_MAX);
	return r;
}

/* Until the next look is due. False: it is over. */
static bool rest(struct revocations *revocations, bool succeeded)
{
	prong_duration pause = revocations->connected && succeeded ? LOOK_EVERY : LOOK_WITHOUT_FEED;
	int r = 0;

	/* Many processes do not look at the same instant. */
	pause -= (prong_duration)(random_u64() % (uint64_t)(pause / 4));
	if (!revocations->wanted) {
		revocations->asleep = true;
		r = coroutine_sleep_until(monotonic_us() + pause);
		revocations->asleep = false;
	}
	revocations->wanted = false;
	return r != -ECANCELED && !coroutine_cancelled(coroutine_current());
}

static void keep_looking(void *argument)
{
	struct revocations *revocations = argument;
	int r = 0;

	while (rest(revocations, r == 0)) {
		r = look(revocations);
		if (r < 0)
			log_debug("revocations: PostgreSQL was not asked: %s", strerror(-r));
		if (now_seconds() - revocations->renewed_at >= RENEW_EVERY)
			renew(revocations);
	}
	revocations->looker = NULL;
}

/* ---- what the feed says ---- */

/* "UUID EPOCH": what follows it, or NULL where it is malformed. */
static const char *take_one(struct revocations *revocations, const char *text)
{
	char id[PRONG_UUID_TEXT_SIZE];
	prong_uuid subject;
	char *end;
	long epoch;

	if (strnlen(text, sizeof(id)) < sizeof(id) || text[sizeof(id) - 1] != ' ')
		return NULL;
	memcpy(id, text, sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	epoch = strtol(text + sizeof(id), &end, 10);
	if (prong_uuid_parse(id, &subject) < 0 || end == text + sizeof(id) || epoch <= 0 || epoch > REVOKE_ALL)
		return NULL;
	note(revocations, subject, (int32_t)epoch, 0);
	return end;
}

static void on_event(void *argument, const char *kind, const char *text)
{
	const char *at = text;

	if (!string_equal(kind, EVENT))
		return;
	do {
		at = take_one(argument, at);
	} while (at && *at++ == ',');
	if (!at || at[-1] != '\0')
		log_warning("the security feed has a malformed revocation");
}

static void on_gap(void *argument, bool connected)
{
	struct revocations *revocations = argument;

	revocations->connected = connected;
	revocations->wanted = true;
	if (revocations->asleep)
		coroutine_wake(revocations->looker, 0);
}

/* ---- the whole ---- */

struct revocations *revocations_new(struct runtime *runtime, struct feed *feed)
{
	struct revocations *revocations = allocate(sizeof(*revocations));

	revocations->runtime = runtime;
	revocations->seed = random_u64();
	renew(revocations);
	feed_listen(feed, &(struct feed_listener){ .event = on_event, .gap = on_gap, .argument = revocations });
	if (coroutine_start(runtime->loop, keep_looking, revocations, &revocations->looker) < 0)
		panic("no coroutine for looking for revocations");
	return revocations;
}

struct revocations *revocations_free(struct revocations *revocations)
{
	if (!revocations)
		return NULL;
	coroutine_finish(revocations->runtime->loop, &revocations->looker);
	free(revocations->slots);
	free(revocations);
	return NULL;
}

/* ---- revoking ---- */

struct revoked {
	size_t count;
	const prong_uuid *subjects;
	int32_t epoch;
};

/* Whether it arrived or not, the rows are there, and who listens will see them. */
static void publish(struct prong_ctx *ctx, const struct revoked *revoked)
{
	char id[PRONG_UUID_TEXT_SIZE];
	struct buffer text = { 0 };
	int r = 0;

	for (size_t i = 0; i < revoked->count && r == 0; i++) {
		buffer_add_format(&text, "%s%s %" PRId32, text.size ? "," : "",
				  prong_uuid_format(revoked->subjects[i], id), revoked->epoch);
		if (i + 1 < revoked->count && (i + 1) % EVENT_MAX)
			continue;
		buffer_add_char(&text, '\0');
		r = feed_publish(ctx, EVENT, text.data);
		text.size = 0;
	}
	if (r < 0)
		prong_log(ctx, PRONG_LOG_WARNING, "a revocation was not published, others will find it: %s",
			  strerror(-r));
	buffer_free(&text);
}

static void make_known(struct prong_ctx *ctx, void *argument, bool certain)
{
	const struct revoked *revoked = argument;

	if (!certain) {
		feed_owe(ctx->runtime->feed);
		return;
	}
	if (ctx->runtime->revocations)
		for (size_t i = 0; i < revoked->count; i++)
			note(ctx->runtime->revocations, revoked->subjects[i], revoked->epoch, 0);
	if (ctx->runtime->redis)
		publish(ctx, revoked);
}

static void announce(struct prong_ctx *ctx, const prong_uuid subjects[], size_t count, int32_t epoch)
{
	struct revoked *revoked = prong_alloc(ctx, sizeof(*revoked));
	prong_uuid *copies = prong_alloc(ctx, count * sizeof(*copies));

	memcpy(copies, subjects, count * sizeof(*copies));
	*revoked = (struct revoked){ .count = count, .subjects = copies, .epoch = epoch };
	postgres_after_commit(ctx, make_known, revoked);
}

int revocations_add(struct prong_ctx *ctx, prong_uuid subject, int32_t epoch)
{
	prong_opt_int32 column = { .set = epoch != REVOKE_ALL, .value = epoch };
	int r;

	check(epoch > 0);
	r = prong_exec(ctx,
		       "INSERT INTO prong_revocations (subject, epoch, revoked_at)"
		       " VALUES ($1, $2, clock_timestamp())",
		       subject, column);
	if (r < 0)
		return r;
	announce(ctx, &subject, 1, epoch);
	return 0;
}

int revocations_add_all(struct prong_ctx *ctx, const prong_uuid subjects[], size_t count)
{
	const char **texts = prong_alloc(ctx, count * sizeof(*texts));
	char id[PRONG_UUID_TEXT_SIZE];
	int r;

	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		texts[i] = prong_strdup(ctx, prong_uuid_format(subjects[i], id));
	r = prong_exec(ctx,
		       "INSERT INTO prong_revocations (subject, revoked_at)"
		       " SELECT subject, clock_timestamp() FROM unnest($1::uuid[]) AS subject",
		       postgres_array(ctx, texts, count));
	if (r < 0)
		return r;
	announce(ctx, subjects, count, REVOKE_ALL);
	return 0;
}

/* Twice as long as they are kept in memory: a look that is late still finds them. */
int revocations_purge(struct prong_ctx *ctx)
{
	return prong_exec(
		ctx, "DELETE FROM prong_revocations WHERE revoked_at < now() - $1::float8 * interval '1 microsecond'",
		2 * KEPT);
}

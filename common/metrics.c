#include "common/metrics.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define CACHE_LINE_WORDS 8

/* Upper bounds in µs and as Prometheus wants them, in seconds; above the last one: +Inf. */
static const struct bucket {
	int64_t bound_us;
	const char *text;
} buckets[] = {
	{ 100, "0.0001" },  { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },
	{ 2500, "0.0025" }, { 5000, "0.005" },	{ 10000, "0.01" },  { 25000, "0.025" },
	{ 50000, "0.05" },  { 100000, "0.1" },	{ 250000, "0.25" }, { 500000, "0.5" },
	{ 1000000, "1" },   { 2500000, "2.5" }, { 5000000, "5" },   { 10000000, "10" },
};

/* Words of a series in a block. */
enum { WORD_TOUCHED, WORD_VALUE, SIMPLE_WORDS };					      /* counter, gauge */
enum { WORD_SUM_US, WORD_BUCKETS, HISTOGRAM_WORDS = WORD_BUCKETS + ARRAY_SIZE(buckets) + 1 }; /* histogram */

struct series {
	enum metric_kind kind;
	char *name, *labels, *help;
	size_t word; /* its first, in every block */
};

static struct {
	struct series *series;
	size_t n_series;
	size_t words; /* of one block */
	size_t n_slots;
	_Atomic uint64_t *blocks; /* shared */
	_Atomic uint64_t *own;	  /* this process's; NULL: none */
} metrics;

static const struct series *find_name(const char *name)
{
	for (size_t i = 0; i < metrics.n_series; i++) {
		if (string_equal(metrics.series[i].name, name))
			return &metrics.series[i];
	}
	return NULL;
}

metric_id metric_define(enum metric_kind kind, const char *name, const char *labels, const char *help)
{
	const struct series *same_name = find_name(name);
	struct series *series;

	check(!metrics.blocks);
	if (same_name) {
		check(same_name->kind == kind);
		check(string_equal(metrics.series[metrics.n_series - 1].name, name));
	}
	metrics.series = reallocate(metrics.series, (metrics.n_series + 1) * sizeof(*metrics.series));
	series = &metrics.series[metrics.n_series++];
	*series = (struct series){
		.kind = kind,
		.name = duplicate(name),
		.labels = labels && labels[0] ? duplicate(labels) : NULL,
		.help = duplicate(help),
		.word = metrics.words,
	};
	metrics.words += kind == METRIC_HISTOGRAM ? HISTOGRAM_WORDS : SIMPLE_WORDS;
	return (metric_id)metrics.n_series;
}

void metrics_map(size_t n_slots)
{
	size_t size;

	check(!metrics.blocks && n_slots > 0);
	metrics.n_slots = n_slots;
	metrics.words = (metrics.words + CACHE_LINE_WORDS) / CACHE_LINE_WORDS * CACHE_LINE_WORDS;
	size = n_slots * metrics.words * sizeof(uint64_t);
	metrics.blocks = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (metrics.blocks == MAP_FAILED)
		panic("no shared memory for metrics, %zu bytes: %s", size, strerror(errno));
}

void metrics_use_slot(size_t slot)
{
	check(metrics.blocks && slot < metrics.n_slots);
	metrics.own = metrics.blocks + slot * metrics.words;
	for (size_t i = 0; i < metrics.n_series; i++) {
		if (metrics.series[i].kind == METRIC_GAUGE)
			atomic_store_explicit(&metrics.own[metrics.series[i].word + WORD_VALUE], 0,
					      memory_order_relaxed);
	}
}

void metrics_unmap(void)
{
	if (metrics.blocks)
		munmap(metrics.blocks, metrics.n_slots * metrics.words * sizeof(uint64_t));
	metrics.blocks = metrics.own = NULL;
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* One writer: no locked instruction is needed. */
static void add(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, load(word) + value, memory_order_relaxed);
}

/* Where this process writes; NULL: nowhere. */
static _Atomic uint64_t *own_words(metric_id id, bool histogram)
{
	const struct series *series;

	if (!id || !metrics.own)
		return NULL;
	check(id <= metrics.n_series);
	series = &metrics.series[id - 1];
	check((series->kind == METRIC_HISTOGRAM) == histogram);
	return metrics.own + series->word;
}

void metric_add(metric_id id, uint64_t value)
{
	_Atomic uint64_t *words = own_words(id, false);

	if (!words)
		return;
	atomic_store_explicit(&words[WORD_TOUCHED], 1, memory_order_relaxed);
	add(&words[WORD_VALUE], value);
}

void metric_set(metric_id id, int64_t value)
{
	_Atomic uint64_t *words = own_words(id, false);

	if (!words)
		return;
	atomic_store_explicit(&words[WORD_TOUCHED], 1, memory_order_relaxed);
	atomic_store_explicit(&words[WORD_VALUE], (uint64_t)value, memory_order_relaxed);
}

void metric_observe(metric_id id, int64_t duration_us)
{
	_Atomic uint64_t *words = own_words(id, true);
	size_t bucket = 0;

	if (!words)
		return;
	if (duration_us < 0)
		duration_us = 0;
	while (bucket < ARRAY_SIZE(buckets) && duration_us > buckets[bucket].bound_us)
		bucket++;
	add(&words[WORD_SUM_US], (uint64_t)duration_us);
	add(&words[WORD_BUCKETS + bucket], 1);
}

static uint64_t sum(const struct series *series, size_t word)
{
	uint64_t total = 0;

	for (size_t slot = 0; slot < metrics.n_slots; slot++)
		total += load(&metrics.blocks[slot * metrics.words + series->word + word]);
	return total;
}

/* `le` is NULL but for buckets. */
static void write_name(struct buffer *out, const struct series *series, const char *suffix, const char *le)
{
	buffer_add_string(out, series->name);
	buffer_add_string(out, suffix);
	if (!series->labels && !le) {
		buffer_add_char(out, ' ');
		return;
	}
	buffer_add_char(out, '{');
	if (series->labels)
		buffer_add_string(out, series->labels);
	if (series->labels && le)
		buffer_add_char(out, ',');
	if (le)
		buffer_add_format(out, "le=\"%s\"", le);
	buffer_add_literal(out, "} ");
}

static void write_histogram(struct buffer *out, const struct series *series)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= ARRAY_SIZE(buckets); i++) {
		count += sum(series, WORD_BUCKETS + i);
		write_name(out, series, "_bucket", i < ARRAY_SIZE(buckets) ? buckets[i].text : "+Inf");
		buffer_add_integer(out, (int64_t)count);
		buffer_add_char(out, '\n');
	}
	write_name(out, series, "_sum", NULL);
	buffer_add_double(out, (double)sum(series, WORD_SUM_US) / 1e6);
	buffer_add_char(out, '\n');
	write_name(out, series, "_count", NULL);
	buffer_add_integer(out, (int64_t)count);
	buffer_add_char(out, '\n');
}

static bool is_touched(const struct series *series)
{
	uint64_t touched = 0;

	if (series->kind != METRIC_HISTOGRAM)
		return sum(series, WORD_TOUCHED) > 0;
	for (size_t i = 0; i <= ARRAY_SIZE(buckets); i++)
		touched += sum(series, WORD_BUCKETS + i);
	return touched > 0;
}

static void write_series(struct buffer *out, const struct series *series)
{
	if (series->kind == METRIC_HISTOGRAM) {
		write_histogram(out, series);
		return;
	}
	write_name(out, series, "", NULL);
	buffer_add_integer(out, (int64_t)sum(series, WORD_VALUE));
	buffer_add_char(out, '\n');
}

void metrics_write(struct buffer *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const char *described = "";

	if (!metrics.blocks)
		return;
	for (size_t i = 0; i < metrics.n_series; i++) {
		const struct series *series = &metrics.series[i];

		if (!is_touched(series))
			continue;
		if (!string_equal(series->name, described))
			buffer_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", series->name, series->help, series->name,
					  types[series->kind]);
		described = series->name;
		write_series(out, series);
	}
}

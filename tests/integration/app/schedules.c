/* An application with schedules, for test_schedules.py. Each run of its job leaves a row in the table ticks. */
#include <prong/prong.h>

#include <stdlib.h>

struct note {
	const char *text;
};
PRONG_SCHEMA(note, PRONG_FIELD(note, text, .required = true, .max_length = 10));

static int note_tick(struct prong_ctx *ctx)
{
	const struct note *note = prong_payload(ctx, note);
	prong_time time = prong_job_scheduled_for(ctx);
	prong_opt_time tick = { .set = time.us != 0, .value = time };

	return prong_exec(ctx, "INSERT INTO ticks (job, text, tick) VALUES ($1, $2, $3)", prong_job_id(ctx), note->text,
			  tick);
}
PRONG_JOB(note_tick, .payload = &note_schema);
static const struct prong_job unlisted_job = { .name = "unlisted", .run = note_tick };

static const struct note second_note = { "second" }, yearly_note = { "yearly" },
			 long_note = { "longer than it may be" };

PRONG_SCHEDULE(every_second, note_tick, .payload = &second_note, .cron = "* * * * * *",
	       .misfire = PRONG_MISFIRE_BACKFILL, .backfill = 100);
PRONG_SCHEDULE(yearly, note_tick, .payload = &yearly_note, .cron = "30 2 * mar,oct sun", .zone = "Europe/Berlin");
PRONG_SCHEDULE(fortnightly, note_tick, .payload = &yearly_note, .every = PRONG_DAYS(14), .misfire = PRONG_MISFIRE_ONCE);

PRONG_SCHEDULE(wrong_line, note_tick, .payload = &second_note, .cron = "0 25 * * *", .zone = "Europe/Bonn");
PRONG_SCHEDULE(wrong_payload, note_tick, .payload = &long_note, .cron = "@daily", .every = PRONG_DAYS(1));
PRONG_SCHEDULE(wrong_job, unlisted, .cron = "@daily");

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "schedules",
				  .version = "1",
				  .jobs = PRONG_JOBS(&note_tick_job),
				  .schedules = getenv("WRONG_SCHEDULES")
						       ? PRONG_SCHEDULES(&wrong_line_schedule, &wrong_payload_schedule,
									 &wrong_job_schedule, &wrong_job_schedule)
						       : PRONG_SCHEDULES(&every_second_schedule, &yearly_schedule,
									 &fortnightly_schedule),
			  });
}

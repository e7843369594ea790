#include <prong/prong.h>

struct note {
    prong_uuid  id;
    const char *title;
    const char *body;           /* NULL when absent */
    prong_time  created_at;
};

PRONG_SCHEMA(note,
    PRONG_FIELD(note, id,         .read_only = true),
    PRONG_FIELD(note, title,      .required = true, .min_length = 1, .max_length = 200),
    PRONG_FIELD(note, body,       .max_length = 65536),
    PRONG_FIELD(note, created_at, .read_only = true));

static int index_note(struct prong_ctx *ctx)            /* a job */
{
    const struct note *note = prong_payload(ctx, note);
    return prong_exec(ctx, "UPDATE notes SET indexed_at = now() WHERE id = $1", note->id);
}
PRONG_JOB(index_note, .payload = &note_schema, .queue = "search", .max_attempts = 5, .timeout = PRONG_SECONDS(30));

static int index_missed(struct prong_ctx *ctx)          /* a job that a schedule enqueues */
{
    return prong_exec(ctx, "UPDATE notes SET indexed_at = now() "
                           "WHERE indexed_at IS NULL AND created_at < now() - interval '10 minutes'");
}
PRONG_JOB(index_missed, .queue = "search");
PRONG_SCHEDULE(hourly, index_missed, .cron = "@hourly", .misfire = PRONG_MISFIRE_ONCE);

static int create_note(struct prong_ctx *ctx)           /* a handler */
{
    const struct note *in = prong_body(ctx, note);      /* already parsed, validated and bound */
    struct note *note;

    int r = prong_query_one(ctx, note, &note,
            "INSERT INTO notes (owner_id, title, body) VALUES ($1, $2, $3) RETURNING *",
            prong_account_id(ctx), in->title, in->body);
    if (r < 0)
        return r;                                       /* answered as problem+json */
    r = prong_enqueue(ctx, index_note, note);
    if (r < 0)
        return r;
    return prong_reply(ctx, 201, note, note);
}

static const struct prong_route routes[] = {
    { PRONG_POST, "/v1/notes", create_note, .body = &note_schema, .reply = &note_schema,
      .access = PRONG_SIGNED_IN, .summary = "Create a note" },
    {}
};

int main(int argc, char *argv[])
{
    return prong_main(argc, argv, &(struct prong_app) {
        .name = "notes", .version = "1.0.0", .routes = routes,
        .jobs = PRONG_JOBS(&index_note_job, &index_missed_job), .schedules = PRONG_SCHEDULES(&hourly_schedule),
        .modules = PRONG_MODULES(&prong_accounts) });
}

/* The application whose accounts the bench measures: a small JSON reply, public, for signed-in accounts, and computed.
 */
#include <prong/prong.h>

struct greeting {
	const char *message;
};

PRONG_SCHEMA(greeting, PRONG_FIELD(greeting, message));

static int get_json(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, greeting, &(struct greeting){ .message = "hello" });
}

static int take_greeting(void *greeting)
{
	((struct greeting *)greeting)->message = "hello";
	return 0;
}

static int get_computed(struct prong_ctx *ctx)
{
	struct greeting greeting;
	int r = prong_compute(ctx, take_greeting, &greeting);

	return r < 0 ? r : prong_reply(ctx, 200, greeting, &greeting);
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/json", get_json, .reply = &greeting_schema, .access = PRONG_PUBLIC,
	  .summary = "A small JSON reply" },
	{ PRONG_GET, "/own", get_json, .reply = &greeting_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The same for signed-in accounts" },
	{ PRONG_GET, "/computed", get_computed, .reply = &greeting_schema, .access = PRONG_PUBLIC,
	  .summary = "The same from the thread pool" },
	{},
};

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "bench",
				  .version = "1",
				  .routes = routes,
				  .modules = PRONG_MODULES(&prong_accounts),
			  });
}

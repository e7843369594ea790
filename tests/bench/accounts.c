/* The application whose accounts the bench measures: one small JSON reply, public and for signed-in accounts. */
#include <prong/prong.h>

struct greeting {
	const char *message;
};

PRONG_SCHEMA(greeting, PRONG_FIELD(greeting, message));

static int get_json(struct prong_ctx *ctx)
{
	return prong_reply(ctx, 200, greeting, &(struct greeting){ .message = "hello" });
}

static const struct prong_route routes[] = {
	{ PRONG_GET, "/json", get_json, .reply = &greeting_schema, .access = PRONG_PUBLIC,
	  .summary = "A small JSON reply" },
	{ PRONG_GET, "/own", get_json, .reply = &greeting_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The same for signed-in accounts" },
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

/* The binary `prong`: an application with accounts and sessions, and nothing else. */
#include <prong/prong.h>

int main(int argc, char *argv[])
{
	return prong_main(argc, argv,
			  &(struct prong_app){
				  .name = "prong",
				  .version = PRONG_LIBRARY_VERSION,
				  .modules = PRONG_MODULES(&prong_accounts),
			  });
}

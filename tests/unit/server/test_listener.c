#include "server/supervisor/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/unit/test.h"

static int open_any(int *ret_port)
{
	char *reason = NULL;
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(listener_bind("127.0.0.1", 0, &fd, &reason), 0);
	CU_ASSERT_EQUAL_FATAL(listener_listen(fd, "127.0.0.1", 0, &reason), 0);
	*ret_port = listener_port(fd);
	return fd;
}

TEST(listener, takes_any_port_for_zero)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int port, fd = open_any(&port), client = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT(port > 0);
	address.sin_port = htons((uint16_t)port);
	CU_ASSERT_EQUAL(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	close(client);
	close(fd);
}

TEST(listener, says_that_a_port_is_taken)
{
	_cleanup_(freep) char *reason = NULL;
	int port, fd = open_any(&port), second = -1;

	CU_ASSERT_EQUAL(listener_bind("127.0.0.1", port, &second, &reason), STATUS_TRY_AGAIN);
	CU_ASSERT_EQUAL(second, -1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "is taken by another process"));
	close(fd);
}

TEST(listener, takes_a_port_again_at_once)
{
	_cleanup_(freep) char *reason = NULL;
	int port, fd = open_any(&port), second = -1;

	close(fd);
	CU_ASSERT_EQUAL(listener_bind("127.0.0.1", port, &second, &reason), 0);
	closep(&second);
}

TEST(listener, refuses_what_is_no_address_of_this_machine)
{
	_cleanup_(freep) char *reason = NULL, *unknown = NULL;
	int fd = -1;

	CU_ASSERT_EQUAL(listener_bind("192.0.2.1", 0, &fd, &reason), STATUS_CONFIGURATION);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "no address of this machine"));
	CU_ASSERT_NOT_EQUAL(listener_bind("999.999.999.999", 0, &fd, &unknown), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(unknown, "cannot be looked up"));
}

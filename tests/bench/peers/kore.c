/* Kore's handler for GET /json; built into a module that its server loads. */
#include <kore/kore.h>

#include <kore/http.h> /* needs what kore.h includes */

int json(struct http_request *request);

int json(struct http_request *request)
{
	static const char body[] = "{\"message\":\"hello\"}";

	http_response_header(request, "content-type", "application/json");
	http_response(request, 200, body, sizeof(body) - 1);
	return KORE_RESULT_OK;
}

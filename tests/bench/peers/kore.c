/* Kore's handler for GET /json; built into a module that its server loads. */
#include <kore/http.h>
#include <kore/kore.h>

int json(struct http_request *request);

int json(struct http_request *request)
{
	static const char body[] = "{\"message\":\"hello\"}";

	http_response_header(request, "content-type", "application/json");
	http_response(request, 200, body, sizeof(body) - 1);
	return KORE_RESULT_OK;
}

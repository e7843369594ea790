-- For wrk: POSTs the body given after `--` to the URL.
function init(arguments)
    wrk.method, wrk.body = "POST", arguments[1]
    wrk.headers["Content-Type"] = "application/json"
end

-- What wrk posts: the assignment's own event, of a thousand sessions.
--
--     MEAN=100 APPLICATION=<uuid> wrk -t 1 -c 100 -d 10s -s bench/track.lua URL
--
-- MEAN: how many ms a connection waits before a request, on average, so that
-- requests come at random and not in step; 0 or none: as fast as it can.

local mean = tonumber(os.getenv("MEAN") or "0")

local sessions = {}

local text = [[{
    "session_id": "%s",
    "category": "page interaction",
    "name": "pageview",
    "data": {
        "host": "www.consumeraffairs.com",
        "path": "/"
    },
    "timestamp": "2021-01-01 09:15:27.%06d"
}]]

local count = 0


function init(args)
    math.randomseed(1)

    for i = 1, 1000 do
        sessions[i] = string.format("e2085be5-9137-4e4e-80b5-%012x",
            math.random(0, 2 ^ 40))
    end

    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["application"] = os.getenv("APPLICATION")
end


function request()
    count = count + 1

    return wrk.format("POST", nil, nil, string.format(text,
        sessions[count % #sessions + 1], count % 1000000))
end


if mean > 0 then
    function delay()
        return math.random(0, 2 * mean)
    end
end


function done(summary, latency, requests)
    local errors = summary.errors

    io.write(string.format("requests=%d us=%d p50=%d p99=%d max=%d "
        .. "lost=%d refused=%d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency.max,
        errors.connect + errors.read + errors.write + errors.timeout,
        errors.status))
end

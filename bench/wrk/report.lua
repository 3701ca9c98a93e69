-- What wrk has measured, as one line of name=value.

function done(summary, latency, requests)
    local errors = summary.errors

    io.write(string.format("requests=%d wall_s=%.6f p50_us=%d p99_us=%d "
        .. "failed=%d\n", summary.requests, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99), errors.connect
        + errors.read + errors.write + errors.status + errors.timeout))
end

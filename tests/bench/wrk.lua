-- wrk ... URL -- BODY_BYTES FILE : a GET, or with BODY_BYTES above 0 a POST of that many bytes, the first of the file.
-- The last line of output is one JSON object, for load.py.

function init(args)
   local body = tonumber(args[1])
   if body > 0 then
      wrk.method = "POST"
      wrk.headers["Content-Type"] = "application/octet-stream"
      wrk.body = assert(io.open(args[2], "rb")):read(body)
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "max_us": %d, "bad_status": %d, "socket_errors": %d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

-- POST /api/v1/events/ and the WebSocket beside it as one writes them for
-- nginx with Lua: what `make bench-track` compares the module with.  It checks
-- the same fields, knows applications for 5 s, keeps events in a sorted set,
-- and answers in the same form.  It does less: cjson takes any number for a
-- double, duplicate keys, and gives the keys of data in any order; arrays,
-- compressed bodies, other forms of a timestamp are refused.

local cjson = require "cjson.safe"
local redis = require "nginx.redis"
local server = require "nginx.websocket.server"

local _M = {}

local path, prefix
local seq = 0

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-"
    .. "%x%x%x%x%x%x%x%x%x%x%x%x$"

local REQUIRED = "This field is required."
local NULL = "This field may not be null."
local BLANK = "This field may not be blank."
local NO_UUID = "Must be a valid UUID."
local NO_STRING = "Not a valid string."
local TOO_LONG = "Ensure this field has no more than 200 characters."
local NO_TIME = "Datetime has wrong format. Use one of these formats instead: "
    .. "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."


function _M.init(socket)
    path = "unix:" .. socket
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
    prefix = string.format("%08x", math.random(0, 0x7fffffff))
end


local function connect()
    local red = redis:new()

    red:set_timeout(10000)

    local ok, err = red:connect(path)

    return ok and red, err
end


-- An id makes equal events distinct.

local function id()
    seq = seq + 1

    return prefix .. string.format("%08x", seq)
end


-- Days since the epoch, and µs since it.

local function days(year, month, day)
    if month <= 2 then
        year = year - 1
        month = month + 12
    end

    local era = math.floor(year / 400)
    local yoe = year - era * 400
    local doy = math.floor((153 * (month - 3) + 2) / 5) + day - 1

    return era * 146097 + yoe * 365 + math.floor(yoe / 4)
        - math.floor(yoe / 100) + doy - 719468
end


local function timestamp(text)
    local year, month, day, hour, min, sec, fraction = string.match(text,
        "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)Z?$")

    if not year then
        return nil
    end

    local us = tonumber(string.sub(fraction .. "000000", 1, 6))

    if tonumber(month) < 1 or tonumber(month) > 12 or tonumber(day) < 1
        or tonumber(day) > 31 or tonumber(hour) > 23 or tonumber(min) > 59
        or tonumber(sec) > 59
    then
        return nil
    end

    local canonical = string.format("%s-%s-%sT%s:%s:%s", year, month, day,
        hour, min, sec)

    if us ~= 0 then
        canonical = canonical .. string.format(".%06d", us)
    end

    return ((days(tonumber(year), tonumber(month), tonumber(day)) * 86400
        + hour * 3600 + min * 60 + sec) * 1000000 + us), canonical .. "Z"
end


local function check_text(event, faults, field)
    local value = event[field]

    if type(value) == "number" then
        value = tostring(value)
    end

    if type(value) ~= "string" then
        faults[field] = { NO_STRING }
        return
    end

    value = string.match(value, "^%s*(.-)%s*$")

    if value == "" then
        faults[field] = { BLANK }
    elseif #value > 200 then
        faults[field] = { TOO_LONG }
    end

    event[field] = value
end


local fields = { "session_id", "category", "name", "data", "timestamp" }


-- The event's µs and canonical timestamp, or a map of its faults.

local function check(event)
    local faults = {}
    local us, canonical

    for _, field in ipairs(fields) do
        local value = event[field]

        if value == nil then
            faults[field] = { REQUIRED }

        elseif value == cjson.null then
            faults[field] = { NULL }

        elseif field == "session_id" then
            if type(value) ~= "string" or not string.match(value, UUID) then
                faults[field] = { NO_UUID }
            else
                event[field] = string.lower(value)
            end

        elseif field == "timestamp" then
            if type(value) == "string" then
                us, canonical = timestamp(value)
            end

            if not us then
                faults[field] = { NO_TIME }
            end

        elseif field ~= "data" then
            check_text(event, faults, field)
        end
    end

    if next(faults) then
        return nil, faults
    end

    return us, canonical
end


local function application()
    local uuid = ngx.var.http_application

    if not uuid or not string.match(uuid, UUID) then
        return false
    end

    uuid = string.lower(uuid)

    local known = ngx.shared.apps:get(uuid)

    if known ~= nil then
        return known
    end

    local red, err = connect()

    if not red then
        return nil, err
    end

    local name

    name, err = red:hget("es:apps", uuid)

    if not name then
        return nil, err
    end

    red:set_keepalive(60000, 256)

    if name == ngx.null or name == "" then
        name = false
    end

    ngx.shared.apps:set(uuid, name, 5)

    return name
end


local function reply(status, body)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.header.content_length = #body
    ngx.print(body)
end


local function unavailable()
    ngx.header.retry_after = 1
    reply(503, '{"title":"Service Unavailable","status":503}')
end


local function body()
    ngx.req.read_body()

    local data = ngx.req.get_body_data()

    if not data then
        local file = ngx.req.get_body_file()

        if file then
            local handle = io.open(file, "rb")
            data = handle:read("*a")
            handle:close()
        end
    end

    return data or ""
end


function _M.track()
    if ngx.req.get_method() ~= "POST" then
        ngx.header.allow = "POST"
        return reply(405, '{"title":"Method Not Allowed","status":405}')
    end

    local event, err = cjson.decode(body())

    if type(event) ~= "table" then
        return reply(400, cjson.encode({ detail = "JSON parse error - "
            .. tostring(err) }))
    end

    local us, canonical = check(event)

    if not us then
        return reply(400, cjson.encode(canonical))
    end

    local name

    name, err = application()

    if name == nil then
        return unavailable()
    end

    if not name then
        return reply(400, '{"detail":"Application not found."}')
    end

    local red

    red, err = connect()

    if not red then
        return unavailable()
    end

    local data = cjson.encode(event.data)
    local category = cjson.encode(event.category)
    local event_name = cjson.encode(event.name)

    local ok = red:zadd("es:{" .. event.session_id .. "}",
        string.format("%.0f", us), '{"id":"' .. id() .. '","application":"'
        .. name .. '","type":"EVENT","timestamp":"' .. event.timestamp
        .. '","name":' .. event_name .. ',"category":' .. category
        .. ',"data":' .. data .. "}")

    if not ok then
        return unavailable()
    end

    red:set_keepalive(60000, 256)

    reply(201, '{"session_id":"' .. event.session_id .. '","category":'
        .. category .. ',"name":' .. event_name .. ',"data":' .. data
        .. ',"timestamp":"' .. canonical .. '"}')
end


-- The load beside it: arrays of plain events, each message with an answer.

local function store(sid, list)
    local args = {}

    for i, event in ipairs(list) do
        args[2 * i - 1] = string.format("%.0f", event.timestamp)
        args[2 * i] = '{"id":"' .. id() .. '","type":"EVENT","timestamp":'
            .. args[2 * i - 1] .. ',"name":' .. cjson.encode(event.name) .. "}"
    end

    local red, err = connect()

    if not red then
        return nil, err
    end

    local ok

    ok, err = red:zadd("es:{" .. sid .. "}", unpack(args))

    if ok then
        red:set_keepalive(60000, 256)
    end

    return ok, err
end


function _M.ws()
    local sid = ngx.var.arg_sessionId
    local ws = server:new({ timeout = 600000, max_payload_len = 1048576 })
    local n = 0

    while ws do
        local data, kind = ws:recv_frame()

        if ws.fatal or kind == "close" then
            return
        end

        if kind == "text" then
            n = n + 1

            local list = cjson.decode(data)

            if not list or not store(sid, list) then
                return
            end

            ws:send_text('{"ack":' .. n .. ',"events":' .. #list .. "}")
        end
    end
end


return _M

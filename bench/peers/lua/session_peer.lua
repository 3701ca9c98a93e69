-- What nginx with Lua does for sessions, as a peer of bench/compare: events
-- over WebSocket and POST into sorted sets, GET of a session as a tree.
--
--     init_worker_by_lua_block { require("session_peer").init(SOCKET) }
--     content_by_lua_block { require("session_peer").ws() }     -- and .post()
--     content_by_lua_block { require("session_peer").session() }
--
-- A message is one ZADD, a large body a pipeline of them; connections to Redis
-- are kept in a pool.  Names repeat, so that their JSON is kept, too.

local cjson = require "cjson.safe"
local redis = require "nginx.redis"
local server = require "nginx.websocket.server"
local tab_new = require "table.new"

local format, sub, match = string.format, string.sub, string.match
local floor, ceil, min = math.floor, math.ceil, math.min
local encode = cjson.encode

local MEMBERS = 1000            -- of one ZADD
local NAMES = 10000             -- whose JSON is kept

local _M = {}

local socket, prefix
local sequence = 0
local quoted, names = {}, 0


function _M.init(path)
    socket = "unix:" .. path
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
    prefix = format("%08x", math.random(0, 0x7fffffff))
end


local function quote(name)
    local json = quoted[name]

    if json then
        return json
    end

    if names == NAMES then
        quoted, names = {}, 0
    end

    json = encode(name)
    quoted[name] = json
    names = names + 1

    return json
end


local function connect()
    local red = redis:new()

    red:set_timeout(30000)

    local ok, err = red:connect(socket)
    if not ok then
        return nil, err
    end

    return red
end


-- Score and member; nothing when it is no event.

local function member(event)
    if type(event) ~= "table" or event.type ~= "EVENT" then
        return
    end

    local timestamp, name = event.timestamp, event.name

    if type(timestamp) ~= "number" or timestamp < 0
        or timestamp ~= floor(timestamp) or type(name) ~= "string"
    then
        return
    end

    local digits = format("%.0f", timestamp)

    sequence = sequence + 1

    return digits, '{"id":"' .. prefix .. format("%08x", sequence)
        .. '","type":"EVENT","timestamp":' .. digits
        .. ',"name":' .. quote(name) .. "}"
end


local function zadd(red, key, args, n)
    if n <= MEMBERS then
        return red:zadd(key, unpack(args))
    end

    red:init_pipeline(ceil(n / MEMBERS))

    for i = 1, n, MEMBERS do
        red:zadd(key, unpack(args, 2 * i - 1, 2 * min(n, i + MEMBERS - 1)))
    end

    local replies, err = red:commit_pipeline()

    for i = 1, replies and #replies or 0 do
        if type(replies[i]) == "table" then
            return nil, replies[i][2]
        end
    end

    return replies, err
end


-- How many events were stored, or nil and why not.

local function store(sid, text)
    local list = cjson.decode(text)

    if type(list) ~= "table" or #list == 0 then
        return nil, "not an array"
    end

    local n = #list
    local args = tab_new(n * 2, 0)

    for i = 1, n do
        local score, text = member(list[i])

        if not score then
            return nil, "not an event"
        end

        args[2 * i - 1], args[2 * i] = score, text
    end

    local red, err = connect()
    if not red then
        return nil, err
    end

    local ok
    ok, err = zadd(red, "es:{" .. sid .. "}", args, n)
    if not ok then
        return nil, err
    end

    red:set_keepalive(60000, 256)

    return n
end


local function session_id()
    local sid = ngx.var.arg_sessionId

    if not sid or not match(sid, "^[%w%-]+$") then
        return ngx.exit(400)
    end

    return sid
end


local function answer(n, err)
    if n then
        return '{"ok":' .. n .. "}"
    end

    return '{"err":' .. encode(err) .. "}"
end


function _M.ws()
    local sid = session_id()
    local ws = server:new({ timeout = 600000, max_payload_len = 16777216 })

    if not ws then
        return ngx.exit(444)
    end

    while true do
        local data, kind = ws:recv_frame()

        if ws.fatal then
            return
        end

        if kind == "text" then
            if not ws:send_text(answer(store(sid, data))) then
                return
            end

        elseif kind == "close" then
            ws:send_close()
            return

        elseif kind == "ping" then
            ws:send_pong(data)
        end
    end
end


function _M.post()
    local sid = session_id()

    ngx.req.read_body()

    local n, err = store(sid, ngx.req.get_body_data() or "")

    if not n then
        ngx.status = 400
    end

    ngx.header.content_type = "application/json"
    ngx.say(answer(n, err))
end


function _M.session()
    local red = connect()
    if not red then
        return ngx.exit(502)
    end

    local members = red:zrange("es:{" .. sub(ngx.var.uri, 10) .. "}", 0, -1)
    if not members then
        return ngx.exit(502)
    end

    red:set_keepalive(60000, 256)

    local n = #members
    if n == 0 then
        return ngx.exit(404)
    end

    local start = match(members[1], '"timestamp":(%d+)')
    local last = match(members[n], '"timestamp":(%d+)')

    -- without the id: from "type" on

    for i = 1, n do
        members[i] = sub(members[i], 26)
    end

    local text = '{"type":"SESSION","start":' .. start .. ',"end":' .. last
        .. ',"children":[{' .. table.concat(members, ",{") .. "]}"

    ngx.header.content_type = "application/json"
    ngx.header.content_length = #text
    ngx.print(text)
end


return _M

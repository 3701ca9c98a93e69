-- Bodies of EVENTS events, each for a session of its own, whose id is appended
-- to PATH.

dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "report.lua")

local names = {
    "cart_saved", "page_views", "item_added", "cart_empty",
    "login_fail", "form_reset", "menu_items", "video_stop"
}

local path = os.getenv("PATH_OF_POSTS")
local count = 0
local body


function init(args)
    local events, timestamp = {}, 1624422533298

    for i = 1, tonumber(os.getenv("EVENTS")) do
        timestamp = timestamp + i % 8
        events[i] = string.format('{"timestamp":%.0f,"type":"EVENT",'
            .. '"name":"%s"}', timestamp, names[i % 8 + 1])
    end

    body = "[" .. table.concat(events, ",") .. "]"
    wrk.headers["Content-Type"] = "application/json"
end


function request()
    count = count + 1

    return wrk.format("POST", string.format("%s%08x-0000-4000-8000-%012x",
        path, os.time(), count), nil, body)
end

# Why: load balancers ask for this path once a second and compare the answer
# byte by byte.  Known to fail by: a newline or a charset that somebody adds;
# an answer that depends on Redis, which takes a whole fleet out at once.

use lib 't/lib';

use EventSession::TestNginx;
use Test::Nginx::Socket;

plan(tests => repeat_each() * 28);

run_tests();

__DATA__

=== TEST 1: OK, exactly
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
GET /healthcheck
--- response_body chomp
OK
--- response_headers
Content-Type: text/plain
Content-Length: 2
--- no_error_log
[alert]
[crit]



=== TEST 2: HEAD
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
HEAD /healthcheck
--- response_body
--- response_headers
Content-Length: 2
--- no_error_log
[alert]
[crit]



=== TEST 3: another method
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
DELETE /healthcheck
--- error_code: 405
--- response_headers_like
Allow: GET, HEAD.*
--- response_body_like: "status":405
--- no_error_log
[alert]
[crit]



=== TEST 4: it needs no Redis
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
GET /healthcheck
--- response_body chomp
OK
--- no_error_log
[alert]
[crit]



=== TEST 5: a query and a body don't matter
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
GET /healthcheck?a=b
body
--- response_body chomp
OK
--- no_error_log
[alert]
[crit]



=== TEST 6: a Redis that does not answer is not its concern
--- http_config
    eventsession_redis unix:/nonexistent/redis.sock;
--- config
    location = /healthcheck {
        eventsession healthcheck;
    }
--- request
GET /healthcheck
--- response_body chomp
OK
--- no_error_log
[alert]
[emerg]

package EventSession::TestNginx;

# Lets Test::Nginx::Socket run what we build, beside other tests: with the
# module loaded, a free port, a folder of its own under build/ and a private
# Redis, whose URL is $TEST_NGINX_REDIS in the blocks.
#
#     use lib 't/lib';
#     use EventSession::TestNginx;
#     use Test::Nginx::Socket;
#
#     plan tests => repeat_each() * blocks() * 2;
#     run_tests();
#
#     __DATA__
#
#     === TEST 1: ...
#     --- http_config
#         eventsession_redis $TEST_NGINX_REDIS;
#     --- config
#         location = /healthcheck { eventsession healthcheck; }
#
# It must come before Test::Nginx::Socket.  $EventSession::TestNginx::redis is
# that Redis.  Whatever a sanitizer reports fails the file.

use strict;
use warnings;

use File::Path ();

use EventSession;

our $redis;


BEGIN {
    my $t = EventSession->new;

    $redis = $t->redis;

    my $logs = $t->folder('logs');

    File::Path::make_path("$EventSession::root/build");

    my $port = EventSession::Redis::free_port();

    %ENV = (%ENV,
        TEST_NGINX_BINARY         => EventSession::Nginx->binary,
        TEST_NGINX_LOAD_MODULES   => EventSession::Nginx->module,
        TEST_NGINX_MASTER_PROCESS => 'on',
        TEST_NGINX_SERVER_PORT    => $port,
        TEST_NGINX_CLIENT_PORT    => $port,
        TEST_NGINX_SERVROOT       => "$EventSession::root/build/servroot-$$",
        TEST_NGINX_TIMEOUT        => 5 * slow(),
        TEST_NGINX_REDIS          => $redis->url,
        TEST_NGINX_ERROR_LOG      => "$logs/error.log",
        %{ EventSession::Nginx::environment({ dir => $logs }) },
    );
}


# EventSession's own end, which runs behind that of Test::Nginx, looks into
# the folder for reports.

my $owner = $$;

END {
    File::Path::remove_tree($ENV{TEST_NGINX_SERVROOT}) if $$ == $owner;
}


1;

# Why: nginx loads modules into one name space, and whichever of two functions
# of one name is there first serves both modules.  Known to fail by: workers
# dying with signal 11 as soon as they answer from Redis, those of whoever was
# loaded second, when both brought a hiredis, each of another version.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;

my $theirs = '/usr/lib/nginx/modules/ngx_nchan_module.so';
my $ours   = EventSession::Nginx::module();

plan skip_all => "Debian's nchan is for Debian's nginx"
    if $ENV{EVS_SANITIZE} || $ENV{EVS_VALGRIND};

# a worker that dies over and over answers nothing

alarm(120);

my $t = EventSession->new;

for my $order ([ $ours, $theirs ], [ $theirs, $ours ]) {
    my $redis = $t->redis(tcp => 1);
    my $sid   = uuid();
    my $first = $order->[0] eq $ours ? 'ours first' : 'nchan first';

    my $nginx = $t->nginx(
        redis   => $redis,
        without => 1,                       # the two are loaded as main says
        main    => join('', map { "load_module $_;\n" } @$order),
        http    => 'upstream nchan { nchan_redis_server "'
                   . $redis->tcp_url . '"; }',
        server => <<END);
        location = /publish {
            nchan_publisher;
            nchan_channel_id \$arg_id;
            nchan_redis_pass nchan;
        }
END

    my @workers = $nginx->workers;

    ok((wait_for { $nginx->request('POST', "/publish?id=$sid",
        body => 'hello')->status =~ /^20[12]$/ }), "$first: nchan stores");

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text('[' . join(',', start(1), event(2, 'a'), end(3)) . ']');
    is_deeply([ $ws->messages(2) ],
        [ '{"ack":1,"events":3}', '{"message":"bye"}' ], 'and so do we');

    my $res = $nginx->get("/session/$sid");

    is($res->status, 200, 'it is read');
    like($res->body, qr/"name":"a"/, 'whole');

    is($nginx->request('GET', "/publish?id=$sid",
        headers => [ 'Accept: application/json' ])->status, 200,
        'nchan tells of its channel');
    is_deeply([ $nginx->workers ], \@workers, 'by the same workers');

    $nginx->quit;
    unlike($nginx->log, qr/exited on signal/, 'none of which died');
}

done_testing();

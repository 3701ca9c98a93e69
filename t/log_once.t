# Why: a log that has a line for each request while Redis is away fills the disk
# in the night when it is needed most, and hides the one line that says why.
# What changes is logged when it changes.  Known to fail by: a line for each
# attempt to connect; a Redis that greets and then refuses, which goes away and
# comes back with each of them; a line for each request, or each look at /ready.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use Test::More;

my $t = EventSession->new;

for my $bad (
    [ 'is killed'           => \&killed,   'Redis does not answer' ],
    [ 'wants a password'    => \&password, 'Redis refuses our credentials' ],
    [ 'becomes a replica'   => \&replica,  'Redis is a read-only replica' ],
    [ 'has no memory left'  => \&full,     'OOM' ],
    [ 'takes a right away'  => \&right,    'NOPERM' ],
) {
    state_of(@$bad);
}

done_testing();


# Puts Redis into that state, and out of it again; each turn is a line.

sub state_of {
    my ($name, $change, $word) = @_;

    my $redis = $t->redis('rename-command' => 'INFO ""', user =>
        [ 'default on nopass ~* &* +@all', 'us on >a ~* &* +@all' ]);

    # as our user, whom the state is about, over connections that it can lose

    my $url   = 'unix:' . $redis->socket . '?user=us&password=a';
    my $nginx = $t->nginx(redis => $url, redis_options => 'reconnect=10ms:20ms',
        http => track_conf() . 'eventsession_timeout 300ms;');

    ok((wait_for { $nginx->get('/ready')->status == 200 }), "$name: ready");

    for my $round (1 .. 2) {
        my $undo = $change->($redis);

        for (1 .. 5) {
            isnt(track($nginx, fields())->status, 201, 'not stored');
            $nginx->get('/ready') for 1 .. 10;
        }

        is(lines($nginx, qr/\[(?:warn|error)\].*redis \S+.*\Q$word\E/),
            $round, "one line for each time that Redis $name");

        $undo->();

        ok((wait_for { track($nginx, fields())->status == 201 }), 'stored');

        # of a right that was taken, each connection is told once
        last if $word eq 'NOPERM';

        ok((wait_for {
            track($nginx, fields());
            lines($nginx, qr/redis \S+ (?:is back|takes commands again)/)
                == $round
        }), 'and one when that is over');
    }

    # but for what Debian's Redis is warned of, which INFO tells: nothing else

    my $all = lines($nginx, qr/\[(?:warn|error)\].*eventsession: /);

    is($all, $word eq 'NOPERM' ? 1 : 2, "no other lines when Redis $name");

    $nginx->quit;
    ok_log($nginx);
}


sub lines {
    my ($nginx, $pattern) = @_;

    return scalar(my @lines = grep { /$pattern/ } split(/\n/, $nginx->log));
}


sub killed {
    my ($redis) = @_;

    $redis->kill9;

    return sub { $redis->start_again };
}


sub password {
    my ($redis) = @_;

    $redis->cli('ACL', 'SETUSER', 'us', 'resetpass', '>b');
    $redis->cli('CLIENT', 'KILL', 'USER', 'us');

    return sub { $redis->cli('ACL', 'SETUSER', 'us', '>a') };
}


sub replica {
    my ($redis) = @_;

    $redis->cli('REPLICAOF', '127.0.0.1', EventSession::Redis::free_port());

    return sub { $redis->cli('REPLICAOF', 'NO', 'ONE') };
}


sub full {
    my ($redis) = @_;

    $redis->cli('CONFIG', 'SET', 'maxmemory', 1);

    return sub { $redis->cli('CONFIG', 'SET', 'maxmemory', 0) };
}


sub right {
    my ($redis) = @_;

    $redis->cli('ACL', 'SETUSER', 'us', '-zadd');

    return sub { $redis->cli('ACL', 'SETUSER', 'us', '+zadd') };
}

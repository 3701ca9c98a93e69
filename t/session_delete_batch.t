# Why: a session that is deleted is gone from every index (contract, section
# 2), and what came in batches lies in the chunks of its shards, too.  Known to
# fail by: copies in shards, or chunks, that the deletion does not know of; a
# copy that is not the bytes of the event with its session told inside; copies
# of another session that go along; a session that begins anew and is without
# its events.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use Test::More;

use constant OWN   => 'a8098c1a-f86e-11da-bd1a-00112444be1e';
use constant OTHER => '95619e87-be2a-46dc-b151-6735a08eac54';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, server => <<'END');
        eventsession_delete on;

        location = /small {
            eventsession batch;
            eventsession_workers batch=1000 linger=0;
        }
END


# What a batch may say of an event, in every form of its member.

sub events_of {
    my ($sid, $n) = @_;

    return map {
        entry(timestamp => $_ * 3, session_id => qq("$sid"),
            name => $_ % 5 ? qq("n$_") : $_ % 2 ? undef : '""',
            category => $_ % 3 ? undef : '"c"',
            data     => $_ % 4 ? undef : '{"a":[1,null]}'),
        entry(timestamp => qq("1969-12-31T23:59:5@{[ $_ % 10 ]}Z"),
            session_id => qq("$sid"), name => '"' . 'x' x 200 . '"')
    } 1 .. $n;
}


sub remove { $nginx->request('DELETE', '/session/' . $_[0])->status }

sub shown { join("\n", grep { /$_[0]/ } events($nginx)) }


my @own   = events_of(OWN, 20);
my @other = events_of(OTHER, 20);

accepted($nginx, array(map { ($own[$_], $other[$_]) } 0 .. $#own), 80,
    'two sessions in one body');
accepted($nginx, array(entry(timestamp => 7, data => 1)), 1,
    'an event of none');

my $others = shown(OTHER);

isnt(shown(OWN), '', 'a session is in GET /events');
is(remove(OWN), 204, 'it is deleted');
is(shown(OWN), '', 'and gone from there');
is(shown(OTHER), $others, 'the other session is as it was');
is(scalar(() = $others =~ /\n/g) + 1, 40, 'with all of its events');
is((grep { /"data":1\}/ } events($nginx)) . '', 1,
    'and so is the event of none');
is($nginx->get('/session/' . OWN)->status, 404, 'there is no session');
is($redis->cli('EXISTS', 'es:{' . OWN . '}:batch'), 0,
    'nor a list of where it was');
is(remove(OWN), 404, 'a second time it is 404');


# it may begin anew

accepted($nginx, array(events_of(OWN, 2)), 4, 'the session begins anew');
is(scalar(() = shown(OWN) =~ /\n/g) + 1, 4, 'and is shown again');


# more events than a page has, over several chunks

for my $round (1 .. 3) {
    accepted($nginx, array(map { entry(timestamp => 5 * $_,
        session_id => '"' . OWN . '"', name => qq("r$round.$_")) }
        1 .. 9000), 9000, "body $round", path => '/small');
}

is((grep { /s00/ } chunks($redis)) . '', 3, 'in three chunks of a shard');
is(remove(OWN), 204, 'a large session is deleted');
is(shown(OWN), '', 'and gone from all of them');
is(shown(OTHER), $others, 'the other session is as it was');


# a list that a stranger wrote

accepted($nginx, array(events_of(OWN, 1)), 2, 'once more');

$redis->cli('SADD', 'es:{' . OWN . '}:batch', '', ':', '1:', ':1', '1000:1',
    'x:1', '1:x', '9' x 30 . ':1', '1:77');

is(remove(OWN), 204, 'what is no chunk in the list is passed over');
is(shown(OWN), '', 'the rest is found');

accepted($nginx, array(events_of(OWN, 1)), 2, 'once more');
$redis->cli('DEL', 'es:{' . OWN . '}:batch');
$redis->cli('SET', 'es:{' . OWN . '}:batch', 'x');

is(remove(OWN), 503, 'a key of another type is no list');
is($nginx->get('/session/' . OWN)->status, 200, 'and nothing is deleted');


is($nginx->quit, 0, 'nginx quits');
ok_log($nginx, qr/WRONGTYPE/);
done_testing();

# Why: what lies in Redis of the event log, byte for byte, since the next
# version must read it; and that there is never a record that a filter misses,
# whatever happens while it is written: the index entries go first, in one
# transaction with the record.  Known to fail by: a record that is stored when
# its index entry was refused for want of memory; an append-only file cut in
# the middle of a record; keys that a value breaks out of; days that are
# dropped with today's records, or whose index entries stay behind.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Log ();
use EventSession::LogPost;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep);

use constant DAY => 86_400;

my $t = EventSession->new;

members_and_keys();
one_transaction();
out_of_memory();
cut_files();
the_feed();
days_go();

done_testing();


sub nginx {
    my ($redis, %options) = @_;

    return $t->nginx(redis => $redis, redis_options => 'reconnect=50ms:300ms',
        locations => <<'END',
            location = /event { eventsession log; }
            location = /hasty { eventsession log; eventsession_timeout 500ms; }
            location = /month { eventsession log; eventsession_log_ttl 30d; }
            location = /day { eventsession log; eventsession_log_ttl 1d; }
END
        http => 'keepalive_requests 100000;', %options);
}


sub keys_of { join(' ', sort(@{ $_[0]->cli('KEYS', '*') })) }


sub finish {
    my ($nginx) = @_;

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


sub members_and_keys {
    my $redis = $t->redis;
    my $nginx = nginx($redis);

    # an address of 65 bytes, as a record has it, and values that look like
    # parts of keys

    my $long = 'a' x 60 . '@b.de';
    my $odd  = '{x}:e:\"* 1}';

    my ($id, $at) = created(log_post($nginx, record(email => qq("$long"),
        environment => qq("$odd"), component => '"\u00e9\u0001"',
        message => '"' . 'm' x 200 . '"', data => '[1.0, "\u00e9" ]')),
        email => qq("$long"), environment => qq("$odd"),
        component => "\"\xc3\xa9\\u0001\"",
        message => '"' . 'm' x 200 . '"', data => '[1.0,"\u00e9"]');

    my $us  = log_us($at);
    my $day = int($us / 1_000_000 / DAY);
    my $raw = pack('H32', $id =~ tr/-//dr);

    my %indexes = (
        e => '#' . Digest::SHA::sha1_hex($long),
        v => $odd,
        c => "\xc3\xa9\\u0001",
    );

    is(keys_of($redis), join(' ', sort("es:{log}:$day", 'es:{log}:days',
        map { "es:{log}:$day:$_:$indexes{$_}" } keys(%indexes))), 'the keys');

    is_deeply($redis->cli('ZRANGE', "es:{log}:$day", 0, -1, 'WITHSCORES'),
        [ "\x01" . pack('Q>', $us) . $raw . "\x41$long" . chr(length($odd))
            . $odd . "\x08\xc3\xa9\\u0001" . "\xc8\x01" . 'm' x 200
            . '[1.0,"\u00e9"]', $us ], 'the record');

    is_deeply($redis->cli('ZRANGE', 'es:{log}:days', 0, -1, 'WITHSCORES'),
        [ $day, $day ], 'the days');

    for my $letter (sort(keys(%indexes))) {
        is_deeply($redis->cli('ZRANGE', "es:{log}:$day:$letter:"
            . $indexes{$letter}, 0, -1, 'WITHSCORES'),
            [ substr($raw, 0, 8), $us ], "the index $letter");
    }

    is((grep { $redis->cli('PTTL', $_) != -1 } @{ $redis->cli('KEYS', '*') })
        . '', '0', 'no key expires');

    for my $key (@{ $redis->cli('KEYS', '*') }) {
        like($key, qr/^es:\{log\}:/, 'of one slot');
    }

    my $http = $nginx->connect;

    for my $n (1 .. 300) {
        $http->send(log_bytes($http, record(email => '"a' . $n % 7 . '@b.de"',
            environment => '"v' . $n % 3 . '"', message => qq("$n"))));
    }

    is((grep { $http->response->status == 201 } 1 .. 300) . '', '300', 'more');

    my @records = grep { length($_->{message}) < 4 } log_records($redis);

    is(scalar(@records), 300, 'are there');
    is(join(' ', map { $_->{message} } @records), join(' ', 1 .. 300),
        'in the order in which they came');
    is((grep { $_->{score} != $_->{us} } @records) . '', '0',
        'a score is the time');
    is_deeply([ log_wrong($redis) ], [], 'no index misses one');

    finish($nginx);
}


# As Redis sees it: the record last, all in one go.

sub one_transaction {
    my $redis = $t->redis;
    my $nginx = nginx($redis);

    my $monitor = IO::Socket::UNIX->new(Peer => $redis->socket) or die $!;

    print {$monitor} "MONITOR\r\n";
    $monitor->flush;
    <$monitor>;

    for my $n (1 .. 3) {
        created(log_post($nginx, record(message => qq("$n"))),
            message => qq("$n"));
    }

    $redis->cli('PING');

    my @seen;

    while (my $line = <$monitor>) {
        my ($command, $key) = $line =~ /\] "(\w+)"(?: "([^"]+)")?/ or next;

        last if $command eq 'PING';
        next if $command =~ /^(?:AUTH|HELLO|INFO|SELECT|CLIENT|CONFIG)$/i;

        $key = defined $key ? " $key" : '';
        $key =~ s/\d{5}/<day>/;
        push(@seen, "$command$key");
    }

    is_deeply(\@seen, [ ('MULTI', 'ZADD es:{log}:<day>:e:a@b.de',
        'ZADD es:{log}:<day>:v:v', 'ZADD es:{log}:<day>:c:c',
        'ZADD es:{log}:days', 'ZADD es:{log}:<day>', 'EXEC') x 3 ],
        'indexes, the day, the record');

    finish($nginx);
}


# Memory is free, and is not, from one command to the next: whoever is told
# of an error, what is there is whole.

sub out_of_memory {
    my $redis = $t->redis;
    my $nginx = nginx($redis, http => 'eventsession_timeout 30s;'
        . 'keepalive_requests 100000;');

    $redis->cli('CONFIG', 'SET', 'maxmemory', 1);

    my $http = $nginx->connect(timeout => 30);

    $http->send(log_bytes($http, record(message => '"patient"')));

    my $res = log_post($nginx, record(message => '"hasty"'), path => '/hasty');

    is($res->status, 503, 'no memory in Redis: 503');
    is(keys_of($redis), '', 'and nothing of it is there');

    $redis->cli('CONFIG', 'SET', 'maxmemory', 0);

    created($http->response, message => '"patient"');

    # a record that takes Redis several reads, so that memory comes and goes
    # between its index entries and itself; and there is none when its time is
    # up, so that nothing is mended by sending it again

    my @clients = map { $nginx->connect(timeout => 30) } 1 .. 10;
    my %statuses;

    for my $round (1 .. 8) {
        for my $client (@clients) {
            $client->send(log_bytes($client, record(data => '"' . 'x' x 60_000
                . '"', email => '"a' . int(rand(1e9)) . '@b.de"'),
                path => '/hasty'));
        }

        for (1 .. 20) {
            $redis->pipeline(map { [ 'CONFIG', 'SET', 'maxmemory', $_ ] }
                (0, 1) x 100);
        }

        $statuses{ $_->response->status }++ for @clients;
    }

    $redis->cli('CONFIG', 'SET', 'maxmemory', 0);

    is(join(' ', grep { !/^(?:201|503)$/ } keys(%statuses)), '',
        'memory that comes and goes: stored or not');
    is_deeply([ log_wrong($redis) ], [], 'but no index misses one');

    # one index that is none: its record was not taken for stored

    my ($day) = map { $_->{day} } log_records($redis);

    $redis->cli('SET', log_key($day, 'c', 'broken'), 'x');
    is(log_post($nginx, record(component => '"broken"'))->status, 503,
        'a key that is not ours is an error');
    created(log_post($nginx, record()));

    finish($nginx);
}


# An append-only file that ends anywhere in its last records, as it does when
# the machine stops: whatever Redis makes of it, no index misses a record.

sub cut_files {
    my $redis = $t->redis(appendonly => 'yes', appendfsync => 'always',
        'aof-load-truncated' => 'yes');
    my $nginx = nginx($redis);
    my $http  = $nginx->connect;

    created(log_post($http, record()));

    my ($file) = sort { -M $a <=> -M $b } grep { -f && /incr|\.aof$/ }
        glob($redis->dir . '/appendonlydir/* ' . $redis->dir . '/*.aof');
    my $from = -s $file;

    created(log_post($http, record(email => qq("a$_\@b.de"))),
        email => qq("a$_\@b.de")) for 1, 2;

    my $size = -s $file;

    finish($nginx);
    $redis->stop;

    open(my $in, '<:raw', $file) or die "$file: $!";
    my $text = do { local $/; <$in> };
    close($in);

    ok($size - $from > 600, 'two records in the file');

    my %found;

    # at the ends of lines, and within them

    my @cuts = grep { $_ > $from && $_ < $size && rand() < 0.5 }
        map { ($_, $_ + 1) } map { pos($text) = $_; $_ }
        map { $_->[0] } line_ends($text);

    for my $cut ($from, @cuts, $size) {
        open(my $out, '>:raw', $file) or die "$file: $!";
        print {$out} substr($text, 0, $cut);
        close($out);

        $redis->start_again;

        $found{ scalar(log_records($redis)) }++;

        if (my @wrong = log_wrong($redis)) {
            fail("cut at $cut: @wrong");
        }

        $redis->stop;
    }

    is(join(' ', sort(keys(%found))), '1 2 3',
        scalar(@cuts) . ' cuts: a record is there with its indexes or not');
}


# Where lines end: at most some 40 of them.

sub line_ends {
    my ($text) = @_;

    my @ends;

    push(@ends, [ pos($text) ]) while $text =~ /\r\n/g;

    return splice(@ends, -40);
}


sub the_feed {
    my $redis = $t->redis;
    my $nginx = nginx($redis, locations => undef);
    my $sse   = $nginx->sse('/database_events');
    my $one   = $nginx->sse('/database_events?name=second');

    is($_->opened, 200, 'a subscriber') for $sse, $one;

    my ($id, $at) = created(log_post($nginx, record(message => '"a\nb"',
        component => '"order"', data => '{"a": [1.0]}')),
        message => '"a\nb"', component => '"order"', data => '{"a":[1.0]}');

    my $event = $sse->next;

    $at =~ s/000Z$/Z/;

    is($event->{data}, qq({"event_id":"$id","event_timestamp":"$at",)
        . '"event_name":"a\nb","session_id":null,"type":"EVENT",'
        . '"category":"order","data":{"a":[1.0]}}', 'a record on the feed');

    my ($second) = created(log_post($nginx, record(message => '"second"')),
        message => '"second"');

    is($sse->json->{event_id}, $second, 'and the next one');
    is($one->json->{event_id}, $second, 'which a filter finds');

    $sse = $sse->resume;
    is($sse->opened, 200, 'it resumes');

    # large ones, and many in a turn

    my $http = $nginx->connect;
    my $data = '"' . 'x' x 60_000 . '"';

    $http->send(join('', map { log_bytes($http, record(message => qq("$_"),
        data => $_ % 10 ? '0' : $data)) } 1 .. 50));

    is((grep { $http->response->status == 201 } 1 .. 50) . '', '50', 'more');
    is(join(' ', map { $sse->json->{event_name} } 1 .. 50),
        join(' ', 1 .. 50), 'are on it, in order, and whole');

    $_->abort for $sse, $one;
    finish($nginx);
}


# Old days as the module would have written them, or others.

sub days_go {
    my $redis = $t->redis;
    my $nginx = nginx($redis, workers => 2);
    my $today = int(time() / DAY);

    my %days = map { $_ => ($today - $_) * DAY * 1_000_000 } 1, 2, 29, 31, 32,
        400, 20_000;

    for my $ago (sort { $a <=> $b } keys(%days)) {
        for my $n (1 .. ($ago == 32 ? 700 : $ago == 400 ? 128 : 5)) {

            # some of the same time, pages of them, too

            my $us = $days{$ago}
                + ($ago == 400 ? 0 : $n < 300 ? int($n / 3) : 100);

            EventSession::Log::log_add($redis, EventSession::Log::record(
                us => $us, email => 'a' . $n % 11 . '@b.de',
                component => 'x' x $n));
        }
    }

    # what is not ours in a day that goes, and among the days

    $redis->cli('ZADD', log_key($today - 20_000), 5, 'foreign', 'inf', 'more',
        '-inf', 'and more');
    $redis->cli('ZADD', 'es:{log}:days', 3, 'foreign', 4, '0007');
    $redis->cli('SET', 'es:{log}:other', 'x');
    $redis->cli('ZADD', 'other:{log}:days', 1, 1);

    my $all = keys_of($redis);

    created(log_post($nginx, record()));
    sleep(0.3);

    is(join(' ', grep { !/:$today/ } split(/ /, keys_of($redis))), $all,
        'without a time they stay for ever');

    created(log_post($nginx, record(), path => '/month'));

    ok((wait_for { $redis->cli('ZCARD', 'es:{log}:days') == 4 }),
        'with one the days behind it go');

    is_deeply($redis->cli('ZRANGE', 'es:{log}:days', 0, -1),
        [ $today - 29, $today - 2, $today - 1, $today ], 'and no others');

    my %left;

    $left{$_}++ for keys_of($redis) =~ /es:\{log\}:(\d+)/g;

    is(join(' ', sort(keys(%left))), join(' ', $today - 29, $today - 2,
        $today - 1, $today), 'nothing of them is left');
    is($redis->cli('GET', 'es:{log}:other') . $redis->cli('ZCARD',
        'other:{log}:days'), 'x1', 'and nothing else is touched');
    is_deeply([ log_wrong($redis) ], [], 'no index misses what stayed');

    created(log_post($nginx, record(), path => '/day'));

    # two days ago ended a day ago, at least

    ok((wait_for { $redis->cli('ZCARD', 'es:{log}:days') == 2 }),
        'a shorter time holds for what is there');
    is_deeply($redis->cli('ZRANGE', 'es:{log}:days', 0, -1),
        [ $today - 1, $today ], 'a day goes when its end is too old');

    # a day that was dropped in part: what is left of it goes, too

    for my $ago (5 .. 9) {
        EventSession::Log::log_add($redis, map { EventSession::Log::record(
            us        => ($today - $ago) * DAY * 1_000_000 + $_,
            component => "c$_") } 1 .. 200);
        $redis->cli('UNLINK', log_key($today - $ago, 'c', 'c7'));
    }

    $nginx->reload;

    # the connection breaks while it is at it, and the worker dies

    created(log_post($nginx, record(), path => '/day'));
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    created(log_post($nginx, record(), path => '/day'));
    $nginx->kill9_worker;

    # a connection that woke the worker while it died waits for the next one

    ok((wait_for {
        log_post($nginx->connect(timeout => 1), record(), path => '/day');
        $redis->cli('ZCARD', 'es:{log}:days') == 2;
    }), 'what is interrupted is done by another one');

    undef %left;
    $left{$_}++ for keys_of($redis) =~ /es:\{log\}:(\d+)/g;

    is(join(' ', sort(keys(%left))), $today - 1 . " $today", 'to its end');

    finish($nginx);
}

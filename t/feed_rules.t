# Why: what the feed says is read by machines and browsers that take it by the
# letter (contract, section 6): headers at once, an id, a type and one line of
# JSON for each event of each kind; filters; refusals that say why; comments
# that keep proxies from hanging up.  Known to fail by: headers that wait for
# the first event; names whose line feeds end the line; a filter that compares
# the escaped text; ids of somebody else's that are taken; pings that stop
# when only others' events come.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use constant FEED => '/database_events';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis,
    http => 'eventsession_feed_ping 200ms;'
        . 'eventsession_cors http://app.example.com;');

headers();
methods();
shapes();
timestamps();
names();
one_line();
filters();
bad_filters();
bad_ids();
pings();
http_1_0();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# Nothing is stored, and nothing will be: they come all the same.

sub headers {
    my $sse = $nginx->sse(FEED, headers => [ 'Origin: http://app.example.com' ],
        keep => 1);

    is($sse->opened, 200, 'a stream');
    is($sse->header('Content-Type'), 'text/event-stream', 'of events');
    is($sse->header('Cache-Control'), 'no-cache', 'not to be cached');
    is($sse->header('X-Accel-Buffering'), 'no', 'nor kept by a proxy');
    is($sse->header('Content-Length'), undef, 'of no known length');
    is($sse->header('Transfer-Encoding'), 'chunked', 'in chunks');
    is($sse->header('Access-Control-Allow-Origin'), 'http://app.example.com',
        'for other origins, too');
    is($sse->header('Vary'), 'Origin', 'by origin');

    $sse->wait_until(sub { $sse->last_id ne '' });
    like($sse->text, qr/^retry: \d+\nid: \d+-\d+\.\d+\.[0-9a-f]{8}\n\n$/,
        'it begins with a time to wait, and where it is');

    # not all at once after a reload

    my @retries = sort { $a <=> $b } map {
        my $one = $nginx->sse(FEED);

        $one->wait_until(sub { defined $one->retry });
        $one->abort;
        $one->retry;
    } 1 .. 20;

    cmp_ok($retries[0], '>=', 1000, 'a second, at least');
    cmp_ok($retries[-1], '<=', 3000, 'three, at most');
    cmp_ok($retries[-1] - $retries[0], '>', 100, 'and not the same for all');

    # who is disconnected before the first event misses nothing, either

    $sse->abort;
    store($nginx, uuid(), event(1, 'first'));

    $sse = $sse->resume;
    is($sse->json->{event_name}, 'first', 'one comes back from before it');
    $sse->abort;
}


sub methods {
    my $sse = $nginx->sse(FEED, method => 'HEAD');

    is($sse->opened, 200, 'HEAD');
    is($sse->header('Content-Type'), 'text/event-stream', 'has the headers');
    is($sse->header('X-Accel-Buffering'), 'no', 'all of them');

    $sse->{socket}->blocking(1);
    $sse->{whole} = 0;
    ok(!$sse->{select}->can_read(0.5), 'and nothing else');
    $sse->abort;

    for my $method (qw(POST PUT DELETE PATCH)) {
        my $res = $nginx->request($method, FEED);

        is($res->status, 405, $method);
        is($res->header('Allow'), 'GET, HEAD', 'says what is allowed');
        is($res->body, problem(405, 'Method Not Allowed',
            "this endpoint does not answer $method"), 'and why not');
    }

    my $res = $nginx->request('OPTIONS', FEED, headers => [
        'Origin: http://app.example.com', 'Access-Control-Request-Method: GET',
    ]);

    is($res->status, 204, 'a preflight');
    is($res->header('Access-Control-Allow-Methods'), 'GET, HEAD', 'is told');
}


sub problem {
    my ($status, $title, $detail) = @_;

    return qq({"type":"about:blank","title":"$title","status":$status,)
        . qq("detail":"$detail"});
}


# As text: the order of its keys, and numbers as they were sent, are part of
# it.

sub shapes {
    my $sid = uuid();
    my $sse = subscriber();

    my @cases = (
        [ start(1624422533298), qr/[0-9a-f]{32}/, 'null', 'SESSION_START' ],
        [ event(1624422533298, 'a'), qr/[0-9a-f]{20}/, '"a"', 'EVENT' ],
        [ event(1624422533298, 'a', id => '"my-own\\"1"'), qr/my-own\\"1/,
            '"a"', 'EVENT' ],
        [ event(1624422533298, 'b', category => '"c"'), qr/[0-9a-f]{20}/,
            '"b"', 'EVENT', ',"category":"c"' ],
        [ event(1624422533298, 'b', data => '{"x":[1.50,1e400,null]}'),
            qr/[0-9a-f]{20}/, '"b"', 'EVENT',
            ',"data":{"x":[1.50,1e400,null]}' ],
        [ event(1624422533298, 'b', category => '"c"', data => '"d"'),
            qr/[0-9a-f]{20}/, '"b"', 'EVENT', ',"category":"c","data":"d"' ],
        [ end(1624422533298), qr/[0-9a-f]{32}/, 'null', 'SESSION_END' ],
    );

    store($nginx, $sid, map { $_->[0] } @cases);

    my @events = $sse->events(scalar(@cases));

    is(scalar(@events), scalar(@cases), 'each entry is an event');

    for my $i (0 .. $#events) {
        my (undef, $id, $name, $type, $more) = @{ $cases[$i] };

        $more //= '';

        my $begin = qr/^\{"event_id":"$id",/;
        my $rest = qq("event_timestamp":"2021-06-23T04:28:53.298Z",)
            . qq("event_name":$name,"session_id":"$sid","type":"$type"$more});

        like($events[$i]{data}, qr/$begin\Q$rest\E$/, "$type$more");
        is($events[$i]{type}, 'message', 'is a "message"');
        like($events[$i]{id}, qr/^\d+-\d+\.$i\.[0-9a-f]{8}$/, 'has an id');
        is($events[$i]{lines}, 1, 'and is one line');
    }

    my %ids = map { $_->{id} => 1 } @events;
    is(scalar(keys(%ids)), scalar(@cases), 'of its own');

    $sse->abort;
}


sub timestamps {
    my @cases = (
        [ '1624422533', '2021-06-23T04:28:53.000Z' ],
        [ '1624422533298', '2021-06-23T04:28:53.298Z' ],
        [ '1624422533298001', '2021-06-23T04:28:53.298001Z' ],
        [ '1624422533298000', '2021-06-23T04:28:53.298Z' ],
        [ '1624422533298001999', '2021-06-23T04:28:53.298001Z' ],
        [ '1624422533.5', '2021-06-23T04:28:53.500Z' ],
        [ '1624422533298.25', '2021-06-23T04:28:53.298250Z' ],
        [ '1.624422533298e12', '2021-06-23T04:28:53.298Z' ],
        [ '0', '1970-01-01T00:00:00.000Z' ],
        [ '"2021-06-23T04:28:53Z"', '2021-06-23T04:28:53.000Z' ],
        [ '"2021-06-23 06:28:53.1234567+02:00"',
            '2021-06-23T04:28:53.123456Z' ],
        [ '"2024-02-29T23:59:59.999999"', '2024-02-29T23:59:59.999999Z' ],
    );

    my $sse = subscriber();

    store($nginx, uuid(), map { event($_->[0], 'a') } @cases);

    is($sse->json->{event_timestamp}, $_->[1], "timestamp $_->[0]")
        for @cases;

    $sse->abort;
}


sub names {
    my %names = (
        'plain'             => 'plain',
        'ä€𝄞'               => 'ä€𝄞',
        '\u00e4\u20AC'      => 'ä€',
        '\ud834\udd1e'      => '𝄞',
        'a\nb\r\nc'         => "a\nb\r\nc",
        '\u000aid: 1\u000d' => "\nid: 1\r",
        '\"\\\\\/\b\f\t'    => "\"\\/\b\f\t",
        'data: x\n\n'       => "data: x\n\n",
        '  '                => '  ',
        "\x7f"              => "\x7f",
        "\xe2\x80\xa8"      => "\xe2\x80\xa8",
    );

    my $sse = subscriber();

    for my $name (sort(keys(%names))) {
        my $sid = uuid();

        store($nginx, $sid, event(1, $name));

        my $event = $sse->next;
        my $json  = JSON::PP::decode_json($event->{data});

        is(bytes_of($json->{event_name}), $names{$name}, "the name $name");
        is($json->{session_id}, $sid, 'in its session');
        is($event->{lines}, 1, 'in one line');
    }

    $sse->abort;
}


sub bytes_of {
    my ($text) = @_;

    utf8::encode($text);

    return $text;
}


# Whatever white space the client has put into it.

sub one_line {
    my $sse = subscriber();

    store($nginx, uuid(), event(1, 'a', category => '"x"',
        data => qq({\n  "a" : [ 1,\r\n\t2 ],\r\n\r\n  "id": "\\n"\n})));

    my $event = $sse->next;

    is($event->{lines}, 1, 'data with line feeds is one line');
    is_deeply(JSON::PP::decode_json($event->{data})->{data},
        { a => [ 1, 2 ], id => "\n" }, 'and means the same');

    $sse->abort;
}


sub filters {
    my ($one, $two) = (uuid(), uuid());

    # as forms and URLSearchParams write them

    my $escaped = '%C3%A4+%22%0A';

    my @filters = ('', "sessionId=$one", 'sessionId=' . uc($one =~ tr/-//dr),
        'type=EVENT', 'type=SESSION_START', 'type=SESSION_END', 'name=a',
        "name=$escaped", 'name=%61', 'name=a%2Bb', 'name=null', 'name=A',
        "sessionId=$two&type=EVENT&name=a", "type=SESSION_START&name=a",
        'other=1');

    my %sse = map { $_ => subscriber("?$_") } @filters;

    store($nginx, $one, start(1), event(2, 'a'), event(3, 'b'), end(4));
    store($nginx, $two, start(1), event(2, 'a'), event(3, '\u00e4 \"\n'),
        event(4, 'ä \"\u000a'), event(5, 'a+b'), end(6));

    my $mark = uuid();

    my %expected = (
        ''                    => '1S 1a 1b 1E 2S 2a 2x 2x 2a+b 2E',
        "sessionId=$one"      => '1S 1a 1b 1E',
        'type=EVENT'          => '1a 1b 2a 2x 2x 2a+b',
        'type=SESSION_START'  => '1S 2S',
        'type=SESSION_END'    => '1E 2E',
        'name=a'              => '1a 2a',
        'name=%61'            => '1a 2a',
        "name=$escaped"       => '2x 2x',
        'name=a%2Bb'          => '2a+b',
        'other=1'             => '1S 1a 1b 1E 2S 2a 2x 2x 2a+b 2E',
        "sessionId=$two&type=EVENT&name=a" => '2a',
        'sessionId=' . uc($one =~ tr/-//dr) => '1S 1a 1b 1E',
    );

    # the unfiltered one is the last to have it, and has it last

    my @all = $sse{''}->events(10);

    is(shown($one, @all), $expected{''}, 'no filter: all of it');

    for my $filter (@filters[1 .. $#filters]) {
        my $sse = $sse{$filter};
        my $want = $expected{$filter} // '';
        my @want = split(/ /, $want);

        my @got = $sse->events(scalar(@want));

        $sse->wait_until(sub { 0 }) if !@want && ($sse->{timeout} = 0.1);
        push(@got, $sse->taken);

        is(shown($one, @got), $want, "?$filter");
    }

    # the ids are those of all events: one resumes where the other was

    my $a = subscriber('?name=a', last_id => $all[1]{id});

    is(shown($one, $a->next), '2a', 'filters hold for history, too');

    $_->abort for values(%sse), $a;
}


sub shown {
    my ($one, @events) = @_;

    return join(' ', map {
        my $json = JSON::PP::decode_json($_->{data});
        my $name = bytes_of($json->{event_name} // '');

        ($json->{session_id} eq $one ? 1 : 2)
            . ($json->{type} eq 'SESSION_START' ? 'S'
             : $json->{type} eq 'SESSION_END' ? 'E'
             : $name eq "ä \"\n" ? 'x' : $name)
    } @events);
}


sub bad_filters {
    for my $query ('sessionId=abc', 'sessionId=', 'sessionId=%00', 'type=event',
        'type=', 'type=EVENTS', 'type=%45VENT%00', "name=%ff", 'name=%ed%a0%80')
    {
        my $res = $nginx->get(FEED . "?$query");

        is($res->status, 400, "?$query");
        is($res->header('Content-Type'), 'application/problem+json',
            'is a problem');
        like($res->json->{detail} // '', qr/^(?:sessionId|type|name) must be/,
            'which is said');
    }
}


# Those that were never given out; those of events that are gone are another
# matter.

sub bad_ids {
    my $sse = subscriber();

    store($nginx, uuid(), event(1, 'a'), event(2, 'b'));

    my ($good, $next) = map { $_->{id} } $sse->events(2);

    my ($ms, $seq, $index, $check) = $good =~ /^(\d+)-(\d+)\.(\d+)\.(\w+)$/;
    my ($other) = $next =~ /(\w+)$/;

    my $flipped = sprintf('%08x', hex($check) ^ 1);

    for my $id (qw(1 abc $ + - 0 0-0 0-0.0.00000000), '*', "$ms-$seq",
        "$ms-$seq.$index", "$ms-$seq.$index.", "$ms-$seq.$index.$flipped",
        "$ms-$seq.$index.$other", ($ms + 1) . "-$seq.$index.$check",
        "$ms-" . ($seq + 1) . ".$index.$check", "$ms-$seq.1.$check",
        "$good ", "${good}0", "0$good", "$ms-$seq.0$index.$check",
        "-$good", '9' x 40 . "-$seq.$index.$check", uc($good) . 'X',
        'x' x 4000)
    {
        my $short = substr($id, 0, 50);
        my $query = $id =~ s/([^\w.-])/sprintf('%%%02x', ord($1))/ger;

        my $res = $nginx->get(FEED . "?lastEventId=$query");

        is($res->status, 400, "?lastEventId=$short");
        like($res->json->{detail} // '', qr/event/i, 'says what it is about');

        next if $id =~ / $/;

        is($nginx->get(FEED, headers => [ "Last-Event-ID: $id" ])->status, 400,
            "Last-Event-ID: $short");
    }

    my $same = subscriber("?lastEventId=$good");
    is($same->next->{id}, $next, 'a good one is good');

    # another stream's

    my $else = $t->nginx(redis => $redis,
        http => 'eventsession_prefix other:;');

    is($else->get(FEED . "?lastEventId=$good")->status, 400,
        "that of another feed is not");

    $else->quit;
    ok_log($else);

    $_->abort for $sse, $same;
}


# Comments come after 200 ms of silence, for who sees nothing.

sub pings {
    my $silent = subscriber('?name=never');
    my $busy   = subscriber();

    my $ws   = $nginx->ws('/ws?ack=1&sessionId=' . uuid());
    my $end  = time() + 1.5;
    my $told = 0;

    while (time() < $end) {
        store($ws, '', event(1, 'a'));

        $told++ if $busy->next;
        $silent->pump;
    }

    # a busy machine may hold them up, but adds none

    cmp_ok($silent->comments, '>=', 3, 'a silent stream is kept alive');
    cmp_ok($silent->comments, '<=', 8, 'not more than is needed');
    cmp_ok($busy->comments, '<=', 3, 'a busy one does not need that');
    cmp_ok($told, '>', 0, 'it was busy');
    is(scalar($silent->taken), undef, 'comments are no events');

    $_->abort for $silent, $busy;
}


# No chunks there: the end of the connection is the end.

sub http_1_0 {
    my $http = $nginx->connect;

    $http->send('GET ' . FEED . " HTTP/1.0\r\nHost: a\r\n\r\n");

    ok((wait_for {
        $http->{select}->can_read(0) && $http->fill;
        $http->{in} =~ /\nretry: \d+\nid: .*\n\n/;
    }), 'HTTP/1.0 gets a stream, too');

    unlike($http->{in}, qr/^transfer-encoding/mi, 'without chunks');
    like($http->{in}, qr{^Content-Type: text/event-stream\r}m, 'its type');

    store($nginx, uuid(), event(1, 'old'));

    ok((wait_for { $http->{select}->can_read(0) && $http->fill;
        $http->{in} =~ /"event_name":"old".*\n\n/ }), 'and events');

    $http->close;
}


sub subscriber {
    my ($query, %options) = @_;

    my $sse = $nginx->sse(FEED . ($query // ''), %options);

    $sse->opened == 200 or diag('not opened: ' . $sse->status . ' '
        . $sse->body);

    return $sse;
}

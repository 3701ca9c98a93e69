# Why: long sessions are read in parts, by time (from, to) and by number
# (limit, then the Link header): the parts must make the whole, also while
# others write.  Known to fail by: pages by offset, which shift when somebody
# writes; pages by timestamp alone, which lose or repeat events that share
# one; cursors that are trusted; a Link that leads somewhere else than where
# the client came from; bounds that are compared in another unit.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;


my $t     = EventSession->new;
my $nginx = $t->nginx(workers => 2, locations => <<END);
    include $EventSession::root/conf/eventsession.conf;

    location = /any/ws {
        eventsession ws;
        eventsession_session_id any;
    }

    location /any/ {
        eventsession session;
        eventsession_session_id any;
    }

    location ~ ^/re/[^/]+/(.+)\$ {
        eventsession session;
    }

    location /v1/ {
        rewrite ^/v1/(.*)\$ /\$1 last;
    }
END

my $http = $nginx->connect;


# nginx ends a connection after 1000 requests.

sub get {
    my ($path) = @_;

    my $res = $http->request('GET', $path);

    $http = $nginx->connect if ($res->header('Connection') // '') eq 'close';

    return $res;
}


# The path that the Link header leads to.

sub next_path {
    my ($res) = @_;

    my $link = $res->header('Link') // return undef;

    return $link =~ /^<([^<>]+)>; rel="next"$/ ? $1 : die("Link: $link\n");
}


# All pages of it: the tree that they make together, how many there were, and
# how many events the first one had.  $between is called after each page.

sub follow {
    my ($path, $between) = @_;

    my (@children, $head, $pages, $first);

    while (defined $path) {
        my $res = get($path);

        return "$path: " . $res->status . ' ' . $res->body
            if $res->status != 200;

        my ($this) = $res->body =~ /^(\{"type":"SESSION",.*?,"children":\[)/;

        # the first page's start and end hold for all

        $head //= $this;
        return "$this, not $head" if $this ne $head;

        my @part = children($res->body);

        push(@children, @part);
        $pages++;
        $first //= @part;

        # a link without a path is relative to the same path

        my $next = next_path($res);

        $path = defined $next && $next =~ /^\?/
            ? $path =~ s/\?.*//r . $next : $next;
        $between->() if $between;
    }

    my $tree = $head . join(',', @children) . ']}';

    return wantarray ? ($tree, $pages, $first) : $tree;
}


sub is_problem {
    my ($path, $detail) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = get($path);

    is($res->status . ' ' . $res->header('Content-Type') . "\n" . $res->body,
        qq(400 application/problem+json\n{"type":"about:blank",)
        . qq("title":"Bad Request","status":400,"detail":"$detail"}),
        "bad: $path");
}


# from and to

my $sid  = uuid();
my $path = "/session/$sid";

# 2021-06-23T04:28:53.298001Z and its neighbours, in µs

my @us     = map { 1624422533298000 + $_ } -1000, -1, 0, 1, 2, 999, 1000;
my @events = map { event($_, 'e') } @us;

store($nginx, $sid, start(1600000000), @events, end(1700000000));

sub part { tree(1600000000, 1700000000, @events[@_]) }

is(get($path)->body, part(0 .. 6), 'all');

for my $form (qw(
    1624422533298001 1624422533298001000 1624422533298001999 1624422533.298001
    1624422533298.001 1.624422533298001e9 1624422533298001.5
    2021-06-23T04:28:53.298001Z 2021-06-23T04:28:53.298001
    2021-06-23t04:28:53.298001999z 2021-06-23T06:28:53.298001%2B02:00
    2021-06-23T06:28:53.298001+02:00 2021-06-22T23:28:53.298001-05:00
    2021-06-23%2004:28:53.298001 2021-06-23+04:28:53.298001Z
    2021-06-23+06%3A28%3A53.298001%2B0200 %31624422533298001
))
{
    is(get("$path?from=$form")->body, part(3 .. 6), "from=$form");
    is(get("$path?to=$form")->body, part(0 .. 3), "to=$form");
    is(get("$path?from=$form&to=$form")->body, part(3), 'both');
}

is(get("$path?from=$us[1]&to=$us[5]")->body, part(1 .. 5), 'a part');
is(get("$path?to=$us[5]&x=y&from=$us[1]")->body, part(1 .. 5),
    'in any order, with others');
is(get("$path?from=1624422533298")->body, part(2 .. 6), 'ms are whole ms');
is(get("$path?to=1624422533")->body, part(), 'seconds are whole seconds');
is(get("$path?from=$us[5]&to=$us[1]")->body, part(), 'from behind to');
is(get("$path?from=0")->body, part(0 .. 6), 'from the epoch on');
is(get("$path?to=0")->body, part(), 'up to the epoch');
is(get("$path?from=9999-12-31T23:59:59Z")->body, part(), 'behind all');
is(get("$path?to=9999-12-31T23:59:59.999999Z")->body, part(0 .. 6), 'up to it');
is(get("$path?from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59Z")->body,
    part(0 .. 6), 'of all years');
is(get("$path?from=$us[4]")->header('Content-Length'), length(part(4 .. 6)),
    'a part has its own length');
is(get('/session/' . uuid() . '?from=1&to=2')->status, 404,
    'there is no part of what is not there');


# limit: every size

for my $limit (1 .. 8, 1000, 1_000_000) {
    my ($tree, $pages, $first) = follow("$path?limit=$limit");

    is($tree, part(0 .. 6), "limit=$limit");
    is($pages, $limit < 7 ? int(6 / $limit) + 1 : 1, 'in so many pages');
    is($first, $limit < 7 ? $limit : 7, 'of so many events');
}

like(get("$path?limit=3")->header('Link'),
    qr{^<$path\?limit=3&after=[0-9a-f.-]+>; rel="next"$},
    'the link is the path that was asked for');
like(get("$path?x=1&to=$us[5]&limit=3&from=0&y")->header('Link'),
    qr{^<$path\?from=0&to=$us[5]&limit=3&after=[0-9a-f.-]+>; rel="next"$},
    'with the arguments');
is(get("$path?limit=7")->header('Link'), undef, 'no link behind the last');
is(get("$path?limit=3&to=$us[2]")->header('Link'), undef,
    'nor behind the last up to to=');

for my $case ([ $us[1], $us[5], 1 .. 5 ], [ $us[2], $us[2], 2 ],
    [ 0, $us[6], 0 .. 6 ], [ $us[3] . '.5', $us[6], 3 .. 6 ], [ 1, 2 ])
{
    my ($from, $to, @part) = @$case;

    for my $limit (1, 2, 4) {
        is(follow("$path?from=$from&to=$to&limit=$limit"), part(@part),
            "limit=$limit from $from to $to");
    }
}

my $after = next_path(get("$path?limit=3")) =~ s/limit=3&//r;

is(get($after)->body, part(3 .. 6), 'the rest without a limit');
is($http->request('HEAD', "$path?limit=3")->header('Link'),
    get("$path?limit=3")->header('Link'), 'HEAD has the link, too');

for my $empty (start(1), end(1)) {
    my $sid = uuid();

    store($nginx, $sid, $empty);

    my $res = get("/session/$sid?limit=1");

    is($res->body, tree($empty eq start(1) ? (1, undef) : (undef, 1)),
        'a page of nothing');
    is($res->header('Link'), undef, 'and nothing behind it');
}


# all on one timestamp, with ids of ours and of clients

$sid = uuid();

my @same = map { event(1624422533298, "s$_") } 1 .. 10_000;

store($nginx, $sid, start(1), end(9));
store($nginx, $sid, batches(1000, @same));

for my $limit (700, 1000, 4999, 9999, 10_000) {
    ok(scalar(follow("/session/$sid?limit=$limit")) eq tree(1, 9, @same),
        "10,000 at one time, limit=$limit");
}

ok(scalar(follow("/session/$sid?limit=900&from=1624422533298"
    . '&to=2021-06-23T04:28:53.298Z')) eq tree(1, 9, @same), 'and from, to');
is(get("/session/$sid?limit=5&from=1624422533298001")->body, tree(1, 9),
    'a µs later there is nothing');

$sid = uuid();

my @ids = map { sprintf('%05d', $_) } 1 .. 3000;

store($nginx, $sid,
    batches(1000, map { event(5, "n$_", id => qq("$_")) } @ids));

my @named = map { event(5, "n$_") } @ids;

for my $limit (7, 500, 2999) {
    ok(scalar(follow("/session/$sid?limit=$limit")) eq
        tree(undef, undef, @named), "ids of the client, limit=$limit");
}

$sid = uuid();

# one id, one long name: only the end tells them apart

my $name = 'n' x 250;
my $id   = '"' . 'i' x 64 . '"';

store($nginx, $sid, map { event(5, $name, id => $id, data => $_) } 10 .. 19);
is(follow("/session/$sid?limit=3"),
    tree(undef, undef, map { event(5, $name, data => $_) } 10 .. 19),
    'one id for different data');


# while others write

$sid    = uuid();
@events = map { event(1000 + $_, "e$_") } 1 .. 300;

store($nginx, $sid, @events);

my $writer = store($nginx, $sid, start(900));
my $n      = 0;

my $tree = follow("/session/$sid?limit=20", sub {
    $n++;
    store($writer, $sid, start(910), (map { event(1000, "older$_") } 1 .. 30),
        event(1001, "same$n"), event(1000 + 20 * $n, "near$n"),
        event(2000, 'newer'));
    die("does not end\n") if $n > 50;
});

my @kept = grep { /"e\d+"/ } children($tree);

is(join(',', @kept), join(',', @events), 'nothing is lost, nothing doubled');
is($tree =~ s/,"children.*//sr, '{"type":"SESSION","start":900,"end":null',
    'and the start stays');


# many STARTs and ENDs around few events

$sid    = uuid();
@events = map { event(5000 + $_, 'e') } 1 .. 10;

store($nginx, $sid, (map { (start($_), end(9000 + $_)) } 1 .. 5000), @events);

for my $args ('limit=1', 'limit=3', 'limit=10', 'limit=4&from=1',
    'limit=4&to=9999', 'limit=1000000', 'from=1', 'to=9999', '')
{
    is(follow("/session/$sid?$args"), tree(1, 14_000, @events),
        "earliest START and latest END with ?$args");
}


# ids of any form, and every kind of location

for my $id ('a', 'A.b_c~d-e', '..x', 'x' x 128, uuid()) {
    my @events = map { event($_, 'e') } 1 .. 5;

    store($nginx->ws("/any/ws?sessionId=$id&ack=1"), $id, @events);

    my $path = "/any/$id";

    is(follow("$path?limit=2"), tree(undef, undef, @events), "session $id");
    like(get("$path?limit=2")->header('Link'),
        qr{^<\Q$path\E\?limit=2&after=[0-9a-f.-]+>; rel="next"$}, 'its link');
}

$sid    = uuid();
@events = map { event($_, 'e') } 1 .. 5;

store($nginx, $sid, @events);

for my $path ("/re/x/$sid", "/re/x%20%25%3e%22%3f/$sid", "/v1/session/$sid",
    "/session//$sid", "/x/../session/$sid")
{
    is(follow("$path?limit=2"), tree(undef, undef, @events), "at $path");
    like(get("$path?limit=2")->header('Link'),
        qr{^<\Q$path\E\?limit=2&after=[0-9a-f.-]+>; rel="next"$},
        'the link is what the client asked for');
}

for my $path ("/re/x>y/$sid", "/re/x<y/$sid", "/re/\"/$sid", "//session/$sid") {
    is(follow("$path?limit=2"), tree(undef, undef, @events), "at $path");
    like(get("$path?limit=2")->header('Link'),
        qr{^<\?limit=2&after=[0-9a-f.-]+>; rel="next"$},
        'the link is relative where the path can not stand in it');
}

is(follow("/session/$sid?limit=2#part"), tree(undef, undef, @events),
    'a fragment that should not be there');


# large data: a page ends when it has grown large

$sid    = uuid();
@events = map { event($_, 'e', data => '"' . chr(97 + $_ % 26) x 60_000 . '"') }
    1 .. 300;

store($nginx, $sid, batches(15, @events));

my ($whole, $pages, $first) = follow("/session/$sid?limit=290");

ok($whole eq tree(undef, undef, @events), '18 MB in pages');
cmp_ok($pages, '>=', 3, 'smaller ones than asked for');
cmp_ok($first, '<', 160, 'of some MB');
ok(scalar(follow("/session/$sid?limit=40")) eq tree(undef, undef, @events),
    'by 40');


# bad arguments

$path = "/session/$sid";

is_problem("$path?limit=$_", 'limit must be an integer from 1 to 1000000')
    for '', 0, -1, '+1', '%201', '1%20', '1.0', '1e3', '0x10', 'all', 1_000_001,
    '18446744073709551617', '99999999999999999999999999', '%00', '%ff';

for my $name (qw(from to)) {
    is_problem("$path?$name=$_", "$name must be a number of seconds, "
        . 'milliseconds, microseconds or nanoseconds since the epoch, or an '
        . 'RFC 3339 date-time')
        for '', 'x', -1, '-0.5', '+1', '1%20', '%201', 'null', 'NaN',
        'Infinity', '1e999', '1e', '1.', '.5', '01', '0x10', '[1]', '"1"',
        '1,2', '%221%22', '%00', '1%00', '%ff', '2021-02-30T00:00:00Z',
        '2021-06-23', '2021-06-23T24:00:00Z', '2021-06-23T04:28:53%2B99:00',
        '999999999999999999999', '1' x 3000;
}

is_problem("$path?after=$_",
    'after must be taken from the Link header of a reply')
    for '', 'x', '0', '..', '0.0', '0.0.', '0.0.0', '0.0.zz', '-1.0.00',
    'a.0.00', '0.a.00', '0.-.00', '.0.00', '0..00', '0.0.00.00',
    '99999999999999999999.0.00', '0.99999999999999999999.00', '0.0.%00%00',
    '%', '%ff', '0.0.' . '00' x 4000, '0.0.' . '0' x 3001;

# what looks like a cursor is one: it leads anywhere in this session

srand(4);

my ($cursor) = next_path(get("$path?limit=2")) =~ /after=(.*)/;

for my $i (1 .. 400) {
    my $after = $cursor;

    if ($i % 3) {
        substr($after, int(rand(length($after))), 1 + int(rand(3)),
            join('', map { (0 .. 9, 'a' .. 'f', '.', '-')[rand(18)] }
                1 .. int(rand(12))));
    } else {
        $after = int(rand(2**62)) . ($i % 2 ? '.-' : '.') . int(rand(2**62))
            . '.' . unpack('H*', join('', map { chr(rand(256)) }
                1 .. rand(256)));
    }

    my $res = get("$path?limit=1&after=$after");

    next if $res->status == 400
        && $res->json->{detail} =~ /^after must be taken from the Link/;

    next if $res->status == 200 && $res->json->{type} eq 'SESSION'
        && @{ $res->json->{children} } <= 1;

    fail("?after=$after: " . $res->status . ' ' . $res->body);
}

pass('400 cursors that somebody made up');


$writer->abort;
$nginx->quit;
ok_log($nginx);
done_testing();

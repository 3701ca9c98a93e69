# Why: GET /event is how operators ask for what happened: every record that
# matches, none twice, in one order, as it was posted; and a question that
# can't be understood is told so, with its column.  Known to fail by: a + that
# stays one; rows that differ from what POST answered; a plan that is not what
# explain says; a bound of createdAt that costs the whole log; a HEAD with a
# body; an index entry without its record that fails the reply or stays for
# ever; a record whose entries are not there yet.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use EventSession;
use EventSession::Log;
use Test::More;
use Time::HiRes qw(time);

use constant { DAY => 86_400_000_000, T0 => 1_700_000_000_000_000,
    JSON => [ 'Content-Type: application/json' ] };

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, http => 'eventsession_timeout 2s;',
    locations => <<END);
    include $EventSession::root/conf/eventsession.conf;

    location = /ttl {
        eventsession log;
        eventsession_log_ttl 1d;
    }

    location = /cors {
        eventsession log;
        eventsession_cors https://ops.example;
    }
END

sub get { log_get($nginx, @_) }


# The filter by each plan.

sub is_rows {
    my ($q, $records, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $plan (qw(best index range scan)) {
        is(get(q => $q, plan => $plan)->body, log_rows(@$records),
            ($what // $q) . " ($plan)");
    }
}


sub is_problem {
    my ($res, $status, $detail, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . $res->header('Content-Type'),
        "$status application/problem+json", $what // $detail);

    my $got = ($res->json // {})->{detail} // '';

    ref($detail) ? like($got, $detail, 'its detail')
        : is($got, $detail, 'its detail');
}


# nothing yet

my $res = get();

is($res->status, 200, 'an empty log');
is($res->header('Content-Type'), 'application/json', 'is JSON');
is($res->header('Content-Length'), 2, 'of a known length');
is($res->body, '[]', 'an empty array');
is(get(q => "(email eq 'a\@b.example')")->body, '[]', 'and with a filter');
is(get(explain => 1)->json->{records}, 0, 'and a plan of nothing');


# the seed's example, posted and found again

my $seed = '{"email":"diego@chefhero.com","environment":"production",'
    . '"component":"order","message":"the buyer #1 has placed an order '
    . 'successfully","data":{"key":123,"another key":"Some value"}}';

my $row = post($seed)->body;

is(get()->body, "[$row]", 'what was posted, as it was answered');

for my $path (
    "/event?q=((email%20eq%20'diego\@chefhero.com')%20AND%20(createdAt%20gte%20"
        . "'2018-1-1')%20AND%20(message%20ct%20'buyer'%20))",
    "/event?q=((email+eq+'diego\@chefhero.com')+AND+(createdAt+gte+'2018-1-1')"
        . "+AND+(message+ct+'BUYER'+))",
    '/event?x=1&q=(data.key+eq+"123")&y', '/event?q=', '/event?q=()',
    '/event?q=+(+)+', '/event?q', '/event?', '/event?Q=()',
    "/event?q=(data.'another+key'+ct+'some')", '/event?q=%28data.key+ne+"1")')
{
    is(get(path => $path)->body, "[$row]", $path);
}

is(get(path => "/event?q=(message+ct+'%25')")->body, '[]', 'a percent sign');

my $second = post('{"email":"a+b@c.example","environment":"é","component":'
    . '"\u00e9 \"\\\\ %41","message":"100% of \/ 10\u0030","data":[1.50,"\/"]}')
    ->body;

for my $q ("(email eq 'a+b\@c.example')", "(message ct '100% OF /')",
    "(message ct '% of')", "(environment eq 'é')", "(environment ct 'É')",
    q{(component eq 'é "\\\\ %41')}, "(data.0 eq '1.5')", "(data.1 eq '/')",
    "(data.1 ct '/') AND (data.0 gt '1.4999')")
{
    is(get(q => $q)->body, "[$second]", $q);
}

is(get(path => "/event?q=(message+ct+'0%25+of')")->body, "[$second]",
    'escaped');
is(get(path => "/event?q=(message+ct+'0%+of')")->body, "[$second]",
    'a percent sign that escapes nothing');
is(get()->body, "[$row,$second]", 'the order of arrival');

my ($uuid) = $second =~ /"id":"([^"]*)"/;

is(get(q => "(id eq '$uuid')")->body, "[$second]", 'by its id');
is(get(q => "(id ne '$uuid')")->body, "[$row]", 'and not');


# HEAD, other methods, CORS

$res = $nginx->request('HEAD', '/event');
is($res->status . ' ' . $res->header('Content-Length') . $res->body,
    '200 ' . length("[$row,$second]"), 'HEAD has the length of GET');

$res = $nginx->request('HEAD', log_query(explain => 1));
is($res->status . $res->body, '200', 'and of a plan');

$res = $nginx->request('DELETE', '/event');
is($res->status . ' ' . $res->header('Allow'), '405 GET, HEAD, POST',
    'another method');

$res = $nginx->request('GET', '/cors',
    headers => [ 'Origin: https://ops.example' ]);
is($res->header('Access-Control-Allow-Origin'), 'https://ops.example', 'CORS');
is($res->header('Access-Control-Expose-Headers'), 'Link, Retry-After',
    'with what a page needs to go on');

is($nginx->request('GET', '/event', body => 'x' x 100_000)->body,
    "[$row,$second]", 'a body is not looked at');


# what is wrong

is_problem(get(q => $_->[0]), 400,
    qr/^q is no filter: column $_->[1]: expected /)
    for [ 'x', 1 ], [ "(email eq 'a') AND", 19 ], [ "(email eq 'a'", 14 ],
    [ "(email is 'a')", 8 ], [ '(email eq a)', 11 ], [ "(a eq 'b')", 2 ],
    [ "(message eq 'éü') or (id eq '')", 19 ], [ "(createdAt gt 'x')", 15 ];

is_problem(get(q => '(' x 200), 400, qr/brackets/);
is_problem(get(q => "(email eq '" . 'x' x 4200 . "')"), 400, qr/4096 bytes/);
is_problem(get(path => '/event?q=%00'), 400, qr/NUL/);
is_problem(get(path => '/event?q=(email+eq+"%ff")'), 400, qr/UTF-8/);

is_problem(get(plan => $_), 400,
    'plan must be best, scan, range or index') for '', 'x', 'Scan', 'scanx';
is_problem(get(explain => $_), 400, 'explain must be 0 or 1')
    for '', '2', 'true', '11';
is_problem(get(limit => $_), 400,
    'limit must be an integer from 1 to 1000000') for 0, 'x', 1_000_001;
is_problem(get(after => $_), 400,
    'after must be taken from the Link header of a reply')
    for '', 'x', '0.1.00', '0.1.' . '0' x 34, '0.1.' . '0' x 600,
    '0.1.' . 'g' x 32;


# every field and operator has its row in t/unit; here the ways to records

$redis->cli('FLUSHALL');

my @records = map { record(
    us          => T0 + $_ * 100_000_000,
    email       => 'u' . ($_ % 100) . '@shop.example',
    environment => $_ % 10 ? 'production' : 'staging',
    component   => 'c' . ($_ % 20),
) } 1 .. 2000;

log_add($redis, @records);

sub those { my ($which) = @_; return [ grep { $which->() } @records ] }

is_rows('', \@records, 'all');
is_rows("(email eq 'u7\@shop.example')", those(sub { $_->{email} =~ /^u7@/ }));
is_rows("(email eq 'nobody')", []);
is_rows("(email eq 'u7\@shop.example') AND (environment eq 'staging')", []);
is_rows("(component eq 'c10') AND (environment eq 'staging')",
    those(sub { $_->{component} eq 'c10' }));
is_rows("(email eq 'u7\@shop.example') OR (email eq 'u9\@shop.example')",
    those(sub { $_->{email} =~ /^u[79]@/ }));
is_rows("(email eq 'u7\@shop.example') OR (component eq 'c7')",
    those(sub { $_->{component} eq 'c7' }), 'two that lead to the same');
is_rows("((email eq 'u7\@shop.example') OR (component eq 'c3')) AND "
    . "(environment eq 'production')",
    those(sub { $_->{email} =~ /^u7@/ || $_->{component} eq 'c3' }));
is_rows("((email eq 'u7\@shop.example') AND (createdAt lt '"
    . created_at(T0 + 100_000_000_000) . "')) OR (createdAt gte '"
    . created_at(T0 + 198_000_000_000) . "')",
    those(sub { $_->{us} >= T0 + 198_000_000_000
        || $_->{us} < T0 + 100_000_000_000 && $_->{email} =~ /^u7@/ }),
    'an index, and a range');
is_rows("(createdAt eq '" . created_at($records[7]{us}) . "')",
    [ $records[7] ]);
is_rows("(createdAt gt '2030-1-1') AND (createdAt lt '2020-1-1')", []);
is_rows("(createdAt gte '" . created_at($records[3]{us})
    . "') AND (createdAt lte '" . created_at($records[700]{us}) . "')",
    [ @records[3 .. 700] ]);
is_rows("(message ct 'E 99')", those(sub { $_->{message} =~ /e 99/ }));
is_rows("(email ne 'u7\@shop.example')",
    those(sub { $_->{email} !~ /^u7@/ }));


# and what the plans are

sub plan_of {
    my ($q, @more) = @_;

    my $plan = get(q => $q, explain => 1, @more)->json;

    return "$plan->{access}(" . join(' ', @{ $plan->{fields} }) . ") of "
        . @{ $plan->{branches} } . ", $plan->{days} days, $plan->{records} of "
        . $plan->{without_index}{records};
}

my $seven = "(email eq 'u7\@shop.example')";
my $mid   = created_at(T0 + 100_000_000_000);

is(plan_of(''), 'scan() of 1, 4 days, 2000 of 2000', 'explain: all');
is(plan_of($seven), 'index(email) of 1, 4 days, 20 of 2000', 'an index');
is(plan_of("(email eq 'nobody')"), 'index(email) of 1, 0 days, 0 of 2000',
    'of nobody');
is(plan_of("(environment eq 'production')"),
    'scan() of 1, 4 days, 2000 of 2000', 'an index that is no use');
is(plan_of("(environment eq 'production')", plan => 'index'),
    'index(environment) of 1, 4 days, 1800 of 2000', 'but wanted');
is(plan_of("$seven AND (environment eq 'production')", plan => 'index'),
    'intersection(email environment) of 1, 4 days, 18 of 2000', 'two of them');
is(plan_of("(component eq 'c10') AND (environment eq 'staging')"),
    'intersection(component environment) of 1, 4 days, 10 of 2000',
    'where they are worth it');
is(plan_of("$seven OR (component eq 'c3')"),
    'union(email component) of 2, 4 days, 120 of 2000', 'a union');
is(plan_of("$seven OR (message ct 'x')"),
    'scan() of 1, 4 days, 2000 of 2000', 'one side has none');
is(plan_of("$seven OR (createdAt lt '" . created_at($records[9]{us}) . "')"),
    'union(email) of 2, 4 days, 29 of 2000', 'or a range');
is(plan_of("$seven AND (createdAt gt '$mid')"),
    'index(email) of 1, 2 days, 10 of 1000', 'an index in a range');
is(plan_of("(createdAt gt '$mid')"), 'range() of 1, 2 days, 1000 of 1000',
    'a range');
is(plan_of("(createdAt gt '$mid')", plan => 'scan'),
    'scan() of 1, 4 days, 2000 of 2000', 'a scan that is wanted');
is(plan_of("$seven AND (createdAt gt '$mid')", plan => 'range'),
    'range() of 1, 2 days, 1000 of 1000', 'a range that is wanted');
is(plan_of("(createdAt gt '$mid') AND (createdAt lt '2000-1-1')"),
    'nothing() of 0, 0 days, 0 of 0', 'nothing can match');

is(get(q => "$seven AND (createdAt gt '2023-11-16')", explain => 1)->body,
    '{"access":"index","fields":["email"],"from":"2023-11-16T00:00:00.000001Z",'
    . '"to":null,"days":2,"records":10,"cost":275,"branches":[{"access":'
    . '"index","fields":["email"],"from":"2023-11-16T00:00:00.000001Z","to":'
    . 'null,"entries":10,"records":10,"cost":275}],"without_index":{"access":'
    . '"range","records":1072,"cost":1172}}', 'a plan, whole');

# what the plan says is what Redis is asked: a day costs, other days don't

my $before = calls('zrangebyscore');
get(q => "(createdAt gte '2023-11-16') AND (createdAt lt '2023-11-17')");
is(calls('zrangebyscore') - $before, 2, 'a range reads one day of 4');

$before = calls('zrangebyscore');
is(get(q => "(email eq 'nobody')")->body, '[]', 'nobody');
is(calls('zrangebyscore') - $before, 1, 'reads nothing but the days');


# entries without a record: of a writer that is at it, and of nobody

my $old     = T0 + 100;
my $young   = int(time()) * 1_000_000 - 60_000_000;
my $gone    = record(us => $old, email => 'u7@shop.example');
my $coming  = record(us => $young, email => 'u7@shop.example');
my $foreign = record(us => $old + 1, email => 'u7@shop.example');

for my $record ($gone, $coming, $foreign) {
    $redis->cli(@$_) for (EventSession::Log::log_commands($record))[0 .. 3];
}

# one that a later version may have written

$redis->cli('ZADD', 'es:{log}:' . log_day($old), $old + 1, "\x02another");

is_rows($seven, those(sub { $_->{email} =~ /^u7@/ }),
    'entries without records');

my $index = log_index($old, 'e', 'u7@shop.example');

ok((wait_for { !defined entry($gone) }), 'an old one is swept');
isnt(entry($coming), undef, 'a young one stays');
isnt(entry($foreign), undef, 'and that of what can not be read');
ok($nginx->log_has(qr/a day of the log has something that is not ours/),
    'which is told');

isnt($redis->cli('ZSCORE', log_index($old, 'c', 'order'),
    substr($gone->{id}, 0, 8)), undef, 'an index that was not asked stays');
get(q => "(component eq 'order') AND (createdAt lt '2024-1-1')",
    plan => 'index');
ok((wait_for { !defined $redis->cli('ZSCORE',
    log_index($old, 'c', 'order'), substr($gone->{id}, 0, 8)) }),
    'until it is');

# the writer comes to its end

log_add($redis, $coming);
is_rows("$seven AND (createdAt gt '2025-1-1')", [ $coming ],
    'then it is there');

sub entry {
    my ($record) = @_;

    return $redis->cli('ZSCORE', log_index($record->{us}, 'e',
        $record->{email}), substr($record->{id}, 0, 8));
}


# as far as a writer came before it crashed: nothing, or what all plans show

for my $n (0 .. 5) {
    $redis->cli('FLUSHALL');

    my $whole = record(us => T0);
    my $cut   = record(us => T0 + 1);

    log_add($redis, $whole);
    $redis->cli(@$_) for
        (EventSession::Log::log_commands($cut))[0 .. $n - 1];

    my @there = ($whole, $n == 5 ? $cut : ());

    is_rows($_, \@there, "$n commands: $_")
        for '', "(email eq 'a\@shop.example')", "(environment eq 'production')",
        "(component eq 'order')",
        "(component eq 'order') AND (email eq 'a\@shop.example')";
}


# what strangers did to our keys

$redis->cli('FLUSHALL');

@records = map { record(us => T0 + $_ * DAY / 2,
    email => 'u' . ($_ % 2) . '@shop.example') } 1 .. 10;
log_add($redis, @records);

my $day = log_day(T0 + 2 * DAY);

$redis->cli('ZADD', 'es:{log}:days', @$_) for [ 5, 'x' ], [ 6, '007' ],
    [ $day + 0.5, '-1' ], [ 1e15, '1000000000000000' ], [ $day + 1, $day - 7 ];
$redis->cli('ZADD', "es:{log}:$day", $_, "stranger $_")
    for $records[3]{us}, $records[3]{us} + 1, 0, '-inf', '+inf', 1e300;
$redis->cli('ZADD', "es:{log}:$day", $records[3]{us} + 2,
    log_member(record(us => T0)));
$redis->cli('ZADD', "es:{log}:$day:e:u0\@shop.example", $_, "x$_")
    for $records[3]{us}, '-inf', 1.5, $records[3]{us} . '.5';
$redis->cli('ZADD', "es:{log}:$day:e:u0\@shop.example", $records[3]{us} . '.5',
    'eight...');

my $evens = [ grep { $_->{email} =~ /^u0/ } @records ];

is_rows('', \@records, 'strange members');
is_rows("(email eq 'u0\@shop.example')", $evens, 'and in an index');

# more of them than a page

$redis->cli('ZADD', "es:{log}:$day:e:u0\@shop.example",
    map { ($records[3]{us} - 1000, "y$_") } 1 .. 3000);
is_rows("(email eq 'u0\@shop.example')", $evens, 'many strange entries');
$redis->cli('ZADD', "es:{log}:$day",
    map { ($records[3]{us} - 1000, "y$_") } 1 .. 3000);
is_rows('', \@records, 'many strange members');
is_rows("(email eq 'u0\@shop.example')", $evens, 'and by an index');

# keys of another type

$redis->cli('SET', "es:{log}:$day:e:u0\@shop.example", 'x');
is_rows("(email eq 'u0\@shop.example')", $evens, 'no index');
is_rows("(email eq 'u0\@shop.example') AND (component eq 'order')", $evens,
    'in an intersection');
$redis->cli('SET', "es:{log}:$day:c:order", 'x');
is_rows("(component eq 'order') AND (environment eq 'production')", \@records,
    'no check');
is_rows("(component eq 'order') OR (environment eq 'x')", \@records,
    'no branch');
$redis->cli('SET', "es:{log}:$day", 'x');
is_rows('', [ grep { log_day($_->{us}) != $day } @records ], 'no day');
is_rows("(environment eq 'production')",
    [ grep { log_day($_->{us}) != $day } @records ], 'nor by an index');
$redis->cli('SET', 'es:{log}:days', 'x');
is_problem(get(), 503, 'the log can\'t be read: the store refused, try again '
    . 'later', 'no list of days');


# retention: what is older is not shown, to the µs and by all plans

$redis->cli('FLUSHALL');

my $now = int(time() * 1_000_000);

@records = map { record(us => $now - $_ * 3_600_000_000) } 30, 25, 23, 1;
log_add($redis, @records);

for my $plan (qw(best index range scan)) {
    my $body = $nginx->get("/ttl?q=(email+eq+'a\@shop.example')&plan=$plan")
        ->body;

    is($body, log_rows(@records[2, 3]), "not older than a day ($plan)");
}

is($nginx->get('/ttl')->body, log_rows(@records[2, 3]), 'nor without a filter');
is(get()->body, log_rows(@records), 'where there is no ttl, all');

my $almost = record(us => $now - DAY + 10_000_000);
my $just   = record(us => $now - DAY - 1);

log_add($redis, $almost, $just);
is($nginx->get('/ttl')->body, log_rows($almost, @records[2, 3]), 'exactly');


# without its Redis

$redis->stop;
is_problem(get(), 503, qr/^the log can't be read: .*, try again later$/,
    'Redis is away');
is_problem(get(explain => 1), 503,
    qr/^the log can't be read: .*, try again later$/, 'and no plan, either');
is(get()->header('Retry-After'), 1, 'when to come again');

$nginx->quit;
ok_log($nginx);
done_testing();


sub post {
    my ($body) = @_;

    my $res = $nginx->request('POST', '/event', headers => JSON,
        body => bytes_of($body));

    is($res->status, 201, 'posted') or diag($res->body);

    return $res;
}


sub calls {
    my ($command) = @_;

    my ($n) = $redis->cli('INFO', 'commandstats')
        =~ /^cmdstat_$command:calls=(\d+)/m;

    return $n // 0;
}

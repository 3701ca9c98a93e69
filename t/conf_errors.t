# Why: who gets a directive wrong should learn it from `nginx -t`, with the
# value that is wrong and what would be right, and not from his clients.
# Known to fail by: mistakes that are taken in silence and do nothing; messages
# that do not say which value; values at which nginx -t itself crashes; and
# passwords of Redis in a message, which somebody then pastes into a ticket.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;


my $t     = EventSession->new;
my $nginx = $t->nginx_unstarted(redis => undef, locations => '');

my $redis = 'eventsession_redis redis://127.0.0.1:6379;';
my $all   = 'include ' . $EventSession::root . '/conf/eventsession.conf;';

my @settings = qw(redis prefix session_id origin cors ping timeout max_message
    max_entries max_name max_category max_data max_inflight feed feed_history
    feed_buffer feed_ping delete log_ttl);


# What nginx -t says; dies if that was not an orderly yes or no.

sub conf_test {
    my (%blocks) = @_;

    @{$nginx}{qw(http server locations)} = map { $_ // '' }
        @blocks{qw(http server locations)};

    my ($fine, $text) = $nginx->conf_test;

    my $yes = $text =~ /test is successful/;
    my $no  = () = $text =~ /\[emerg\]/g;

    die("nginx -t: $text") if $fine ? (!$yes || $no) : ($yes || $no != 1);

    return ($fine, $text);
}


sub passes {
    my ($http) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($fine, $text) = conf_test(http => $http,
        locations => $http =~ /eventsession_redis/ ? $all : '');

    ok($fine, "right: $http") or diag($text);
    unlike($text, qr/\[warn\]/, 'without a warning');
}


sub fails {
    my ($http, $message, %blocks) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($fine, $text) = conf_test(http => $http, %blocks);
    my $what = $http || join(' ', values(%blocks));

    my ($said) = $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m;

    $what =~ s/(.{100}).*/$1.../s;
    is($said // $text, $message, "wrong: $what");
}


# no directive at all; each where it may stand

passes('');

for my $setting (grep { $_ ne 'redis' } @settings) {
    my $value = { session_id => 'any', origin => '*', cors => 'off',
        feed => 'off', delete => 'on' }
        ->{$setting} // ($setting =~ /prefix/ ? 'p:' : 7);

    for my $block (qw(http server locations)) {
        my $line = "eventsession_$setting $value;";

        my ($fine, $text) = conf_test($block => $block ne 'locations' ? $line
            : "location / { $line }");

        ok($fine, "$line in $block") or diag($text);
    }
}

for my $block (qw(http server)) {
    my ($fine, $text) = conf_test($block => $redis, locations => $all);

    ok($fine, "eventsession_redis in $block") or diag($text);
}

my ($fine, $text) = conf_test(locations => join('',
    map { "location = /$_ { eventsession $_; $redis }" }
        qw(ws session ready)) . 'location = /h { eventsession healthcheck; }');

ok($fine, 'eventsession_redis in locations') or diag($text);

($fine, $text) = conf_test(locations => $all, http => $redis,
    server => 'eventsession_redis unix:/run/r.sock;');

ok($fine, 'an inner one goes before') or diag($text);


# valid forms

passes("eventsession_redis $_;") for (
    'redis://127.0.0.1', 'redis://127.0.0.1:1', 'redis://127.0.0.1:65535/15',
    'redis://localhost:6379/', 'redis://[::1]:6379/0', 'REDIS://127.0.0.1',
    'redis://:pass@127.0.0.1', 'redis://user:pass@127.0.0.1/1',
    'redis://u%40x:p%2F%3f%23%25@127.0.0.1', '"redis://u:a b@127.0.0.1"',
    'unix:/run/redis.sock', 'unix:/run/redis.sock?db=3',
    'unix:/run/redis.sock?user=u&password=p%26q&db=0',
    'redis://127.0.0.1 connect_timeout=200ms command_timeout=1m30s '
        . 'reconnect=10ms:1s', 'redis://127.0.0.1 reconnect=3s',
    'redis://127.0.0.1 connect_timeout=1 command_timeout=1d',
);

passes("eventsession_prefix $_;") for 'a', 'shop:es:', '~!@#%^&*()', 'p' x 64;
passes("eventsession_session_id $_;") for qw(uuid any);
passes("eventsession_ping $_;") for qw(0 1 30s 500ms 1h);
passes("eventsession_log_ttl $_;") for qw(0 1 1s 24h 30d 100y);
passes("eventsession_timeout $_;") for qw(1 1ms 30s 1h30m);
passes("eventsession_max_message $_;") for qw(1 64k 1m 1024M);
passes("eventsession_max_entries $_;") for qw(1 20000 1000000);
passes("eventsession_max_$_ 1;") for qw(name category data inflight);

for my $setting (qw(origin cors)) {
    passes("eventsession_$setting $_;") for ('off', '*', 'https://a.example',
        'http://a.example:8080 https://b.example', 'http://[::1]:8080',
        'https://*.example.com', 'https://*', 'http://localhost:*',
        'chrome-extension://abcdef', '"~^https://[a-z]{2}\\.example$" *');
}


# an endpoint

fails('', 'unknown endpoint "http" in "eventsession": must be ws, session, '
    . 'track, batch, log, feed, workers, healthcheck, ready or metrics',
    locations => 'location / { eventsession http; }');
fails('', 'unknown endpoint "" in "eventsession": must be ws, session, '
    . 'track, batch, log, feed, workers, healthcheck, ready or metrics',
    locations => 'location / { eventsession ""; }');
fails('', '"eventsession" directive is duplicate', locations =>
    'location / { eventsession healthcheck; eventsession healthcheck; }');
fails('', 'invalid number of arguments in "eventsession" directive',
    locations => 'location / { eventsession ws session; }');
fails('', 'invalid number of arguments in "eventsession" directive',
    locations => 'location / { eventsession; }');
fails('eventsession healthcheck;',
    '"eventsession" directive is not allowed here');
fails('', '"eventsession" directive is not allowed here',
    server => 'eventsession healthcheck;');
fails('', '"eventsession" directive is not allowed here',
    locations => 'location / { if ($arg_a) { eventsession healthcheck; } }');
fails('', 'unknown directive "eventsession_worker"',
    server => 'eventsession_worker 3;');

for my $endpoint (qw(ws session batch log feed workers ready)) {
    fails('', qq("eventsession $endpoint" in location "/x/" needs )
        . '"eventsession_redis" in this or an outer block',
        locations => "location /x/ { eventsession $endpoint; }");
}

fails('', '"eventsession ws" in location "/x" needs '
    . '"eventsession_redis" in this or an outer block',
    locations => "location /y { $redis } location = /x { eventsession ws; }");


# each twice, and without a value

for my $setting (@settings) {
    my $value = { redis => 'unix:/a', session_id => 'any', origin => '*',
        cors => 'off', feed => 'on', delete => 'off' }->{$setting}
        // ($setting =~ /prefix/ ? 'p:' : 7);

    fails("eventsession_$setting $value;" x 2,
        qq("eventsession_$setting" directive is duplicate));
    fails("eventsession_$setting;", 'invalid number of arguments in '
        . qq("eventsession_$setting" directive));

    next if $setting =~ /redis|origin|cors/;

    fails("eventsession_$setting $value $value;", 'invalid number of '
        . qq(arguments in "eventsession_$setting" directive));
}


# values

fails(qq(eventsession_session_id "$_";), qq(invalid value "$_" in )
    . '"eventsession_session_id": must be uuid or any') for '', qw(guid UUID);

fails(qq(eventsession_ping "$_";), qq(invalid value "$_" in )
    . '"eventsession_ping": must be a time as 30s, or 0')
    for '', '-1', '1x', '1.5s', '10 s s', 'off', '9' x 30;

fails(qq(eventsession_log_ttl "$_";), qq(invalid value "$_" in )
    . '"eventsession_log_ttl": must be a time up to 100y, as 30d, or 0')
    for '', '-1', '1x', '500ms', 'off', '100y 1d', '9' x 30;

fails(qq(eventsession_timeout "$_";), qq(invalid value "$_" in )
    . '"eventsession_timeout": must be a time above 0, as 10s or 500ms')
    for '', '0', '0ms', '-1s', 'x', '1y 1x', '9' x 30;

fails(qq(eventsession_feed_ping "$_";), qq(invalid value "$_" in )
    . '"eventsession_feed_ping": must be a time above 0, as 10s or 500ms')
    for '', '0', '-1s', 'off', '9' x 30;

for my $setting (qw(max_message max_name max_category max_data max_inflight
    feed_buffer))
{
    fails(qq(eventsession_$setting "$_";), qq(invalid value "$_" in )
        . qq("eventsession_$setting": must be a size above 0, as 500, 64k )
        . 'or 1m') for '', '0', '0k', '-1', '1.5m', '1t', 'unlimited', '9' x 30;
}

for my $setting (qw(max_entries feed_history)) {
    fails(qq(eventsession_$setting "$_";), qq(invalid value "$_" in )
        . qq("eventsession_$setting": must be a number above 0))
        for '', '0', '-1', '1k', 'x', '9' x 30;
}

for my $setting (qw(feed delete)) {
    fails(qq(eventsession_$setting "$_";), qq(invalid value "$_" in )
        . qq("eventsession_$setting" directive, it must be "on" or "off"))
        for '', 'yes', '1';
}

fails(qq(eventsession_prefix "$_";), qq(invalid eventsession_prefix "$_": )
    . 'must have 1 to 64 characters') for '', 'p' x 65;

fails(qq(eventsession_prefix "$_";), qq(invalid eventsession_prefix "$_": )
    . 'must be of printable ASCII without blanks and braces')
    for 'a{b', 'a}', '{}', 'a b', "a\tb", "\xc3\xa9", "a\x7f";

for my $setting (qw(origin cors)) {
    fails(qq(eventsession_$setting "$_";), qq(invalid origin "$_": must be )
        . '"*", "off", <scheme>://<host>[:<port>] with at most one "*" in its '
        . 'host, or "~" and a regular expression')
        for '', 'example.com', '*.example.com', 'https://', '://a', 'https:/a',
        'https://a.example/', 'https://a.example/path', 'https://a.example?q',
        'https://a.example#f', 'https://u@a.example', 'https://a b', 'on',
        'http*://a.example', 'null', "https://\xc3\xa9.example", '**';

    fails("eventsession_$setting off https://a;", 'invalid origin "off": '
        . 'must be "*", "off", <scheme>://<host>[:<port>] with at most one "*" '
        . 'in its host, or "~" and a regular expression');
    fails("eventsession_$setting https://*.*.example;", 'invalid origin '
        . '"https://*.*.example": it has more than one "*"');
    fails("eventsession_$setting ~;", 'invalid origin "~": it has no regular '
        . 'expression, use "*" to allow all');

    ($fine, $text) = conf_test(http => qq{eventsession_$setting "~^(a";});
    ok(!$fine, 'a broken regular expression');
    like($text, qr/invalid origin "~\^\(a": pcre2?_compile\(\) failed: missing/,
        'is told with what is wrong with it');
}


# Redis: the value that is wrong is named, and no more than that

for my $case (
    [ 'rediss://127.0.0.1', qr/TLS.*"rediss:\/\/".*"redis:\/\/"/ ],
    [ '127.0.0.1:6379', qr/begins with "redis:\/\/" or "unix:"/ ],
    [ 'http://127.0.0.1', qr/begins with "redis:\/\/" or "unix:"/ ],
    [ '""', qr/begins with "redis:\/\/" or "unix:"/ ],
    [ 'redis://', qr/no host/ ],
    [ 'redis:///1', qr/no host/ ],
    (map { [ "redis://127.0.0.1:$_", qr/invalid port.*from 1 to 65535/ ] }
        '0', '65536', 'x', '', '-1', '9' x 20),
    [ 'redis://127.0.0.1/x', qr/database "x", a number from 0/ ],
    [ 'redis://127.0.0.1/-1', qr/database "-1", a number from 0/ ],
    [ 'redis://127.0.0.1/1/2', qr/database "1\/2", a number from 0/ ],
    [ 'redis://127.0.0.1/' . '9' x 20, qr/database "9{20}"/ ],
    [ 'redis://127.0.0.1?db=1', qr/unexpected "\?".*parameters of their own/ ],
    [ 'redis://[::1', qr/"\]".*"\[::1"/ ],
    [ 'redis://[xyz]', qr/\[xyz\]/ ],
    [ 'redis://no.such.name.invalid', qr/no\.such\.name\.invalid/ ],
    [ 'unix:', qr/absolute path.*"unix:\/path\/to\/redis.sock"/ ],
    [ 'unix:redis.sock', qr/absolute path in "unix:redis\.sock"/ ],
    [ 'unix:/a%zz', qr/invalid "%" in the path/ ],
    [ 'unix:/' . 'a' x 200, qr/too long path/ ],
    [ 'unix:/a?db=x', qr/database "x"/ ],
    [ 'unix:/a?index=1', qr/"db=", "user=" and "password="/ ],
    [ 'unix:/a?db', qr/"db=", "user=" and "password="/ ],
    (map { [ "redis://127.0.0.1 $_",
        qr/unknown option "[a-z_]+" of a Redis, known are connect_timeout=/ ] }
        qw(timeout=1s connect_timeout keepalive=2)),
    (map { my $option = $_; map { [ "redis://127.0.0.1 $option=$_",
        qr/invalid time "$_" in $option=.*from 1ms to 1d/ ] }
        '', '0', '-1s', 'x', '2d', '9' x 30 }
        qw(connect_timeout command_timeout reconnect)),
    [ 'redis://127.0.0.1 reconnect=2s:1s', qr/reconnect=2s:1s.*minimum over/ ],
    [ 'redis://127.0.0.1 reconnect=1s:', qr/invalid time "" in reconnect=/ ],
    [ 'redis://127.0.0.1 reconnect=1s:2s:3s', qr/invalid time "2s:3s"/ ],
) {
    my ($url, $message) = @$case;

    my ($fine, $text) = conf_test(http => "eventsession_redis $url;");

    ok(!$fine, "wrong: eventsession_redis $url") or next;
    like($text, $message, 'says what');
    like($text, qr/nginx\.conf:\d+$/m, 'and where');
}

for my $arg (
    'redis://u:S3CRET@127.0.0.1:0', 'redis://u:S3CRET@127.0.0.1/x',
    'redis://u:S3CRET@', 'redis://u:S3CRET@no.such.name.invalid',
    'redis://u:S3CRET@[::1', 'redis://u:S3CRET%zz@127.0.0.1',
    'redis://u:S3CRET/x@127.0.0.1', 'redis://u:a?S3CRET@127.0.0.1',
    'redis://u:a#S3CRET@127.0.0.1', 'redis://u:a@S3CRET@127.0.0.1:0',
    'redis://:S3CRET', 'redis://u:S3CRET', 'redis://u:S3CRET/0',
    'rediss://u:S3CRET@127.0.0.1',
    'http://u:S3CRET@127.0.0.1', 'u:S3CRET@127.0.0.1',
    'unix:/a?password=S3CRET&db=x', 'unix:/a?password=S3CRET%zz',
    'unix:/a?pass=S3CRET', 'unix:a?password=S3CRET',
    'unix:/a?user=u&password=S3CRET&x=y', 'unix:/a?password=1&S3CRET',
    'redis://127.0.0.1 password=S3CRET',
    'redis://127.0.0.1?password=S3CRET', 'redis://127.0.0.1#S3CRET',
    'redis://u:S3CRET@127.0.0.1 connect_timeout=0',
    'redis://u:S3CRET@127.0.0.1 reconnect=2s:1s',
) {
    my ($fine, $text) = conf_test(http => "eventsession_redis $arg;");

    ok(!$fine, "wrong: eventsession_redis $arg");
    unlike($text, qr/S3CRET/, 'without the password');
}

TODO: {
    local $TODO = 'redis/url.c names what stands where a database should';

    for my $arg ('redis://127.0.0.1/?password=S3CRET',
        'redis://127.0.0.1/0?password=S3CRET')
    {
        my ($fine, $text) = conf_test(http => "eventsession_redis $arg;");

        unlike($text, qr/S3CRET/, "without the password: $arg");
    }
}

($fine, $text) = conf_test(http => 'eventsession_redis '
    . 'redis://u:S3CRET@127.0.0.1;', locations => $all);
ok($fine, 'with a password');
unlike($text, qr/S3CRET/, 'that nobody sees');


done_testing();

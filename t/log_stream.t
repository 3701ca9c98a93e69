# Why: an answer of the whole log is longer than any memory, takes as long as
# its client likes, and meanwhile everything happens: clients leave, Redis
# dies, nginx is reloaded, others write and read.  Known to fail by: a reply
# that is read from Redis faster than its client reads it; pages that go on
# for a client that has left; a reply that ends well when it was cut; a reload
# that cuts it; a read that misses what was acknowledged before it began.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Log;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use constant { T0 => 1_700_000_000_000_000, MB => 1024 * 1024, RECORDS => 800,
    JSON => [ 'Content-Type: application/json' ] };

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, listen => 'sndbuf=32k',
    redis_options => 'command_timeout=1s', http => 'eventsession_timeout 2s;');

# 16 MB, over some days

my @records = map { record(us => T0 + $_ * 600_000_000,
    email => 'u' . ($_ % 2) . '@shop.example',
    data  => '"' . chr(97 + $_ % 26) x 20_000 . '"') } 1 .. RECORDS;

while (my @some = splice(@records, 0, 50)) {
    log_add($redis, @some);
}

my $whole = $nginx->get('/event')->body;

is(($whole =~ tr/{//), RECORDS, 'all records');

my %paths = (
    scan  => '/event?plan=scan',
    index => log_query(plan => 'index', q => "(email eq 'u0\@shop.example') OR "
        . "(email eq 'u1\@shop.example')"),
);

my ($pid) = $nginx->workers;


# a client that takes its time: memory is bounded, and Redis waits, too

for my $plan (sort(keys(%paths))) {
    my $before = $nginx->rss($pid);
    my $http   = $nginx->connect(rcvbuf => 16_384, timeout => 60);
    my ($n, $body, $still) = (0, '', 0);

    my $res = $http->request('GET', $paths{$plan}, each => sub {
        $body .= $_[0];

        # it stands still for a while, and so does Redis

        if (++$n == 20) {
            wait_for { my $calls = calls(); sleep(0.2); $calls == calls() };
            $still = calls();
            sleep(0.3);
            $still = calls() - $still;
        }
    });

    is($res->error, undef, "$plan: a slow client has an answer");
    ok($body eq $whole, 'of all of it');
    is($still, 0, 'no page is asked for while it does not read');

    my $grown = $nginx->peak($pid) - $before;

    note("$plan: grown by ", int($grown / 1024), ' KB at most');
    cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 200 : 8) * MB,
        'the worker did not grow by much');
}


# clients that leave: in the middle of the answer, and before its first byte

my $files = $nginx->open_files($pid);

for my $path (values(%paths), log_query(plan => 'scan',
    q => "(message eq 'nothing')"))
{
    for my $n (1 .. 5) {
        my $http = $nginx->connect(rcvbuf => 4096);

        $http->send($http->text_of('GET', $path));
        $http->fill if $path !~ /nothing/;

        setsockopt($http->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
            pack('ii', 1, 0)) if $n % 2;
        $http->close;
    }
}

ok((wait_for { $nginx->open_files($pid) <= $files }), 'clients leave nothing');
ok((wait_for { my $calls = calls(); sleep(0.2); $calls == calls() }),
    'and nothing goes on for them');


# a reload in the middle of it

for my $plan (sort(keys(%paths))) {
    my $http = $nginx->connect(rcvbuf => 16_384, timeout => 60);
    my ($n, $body) = (0, '');

    my $res = $http->request('GET', $paths{$plan}, each => sub {
        $body .= $_[0];
        $nginx->reload if ++$n == 20;
    });

    is($res->error, undef, "$plan: a reload in the middle");
    ok($body eq $whole, 'of a whole answer');
}


# Redis dies in the middle of it: the client sees that something is missing

for my $plan (sort(keys(%paths))) {
    my $http = $nginx->connect(rcvbuf => 16_384, timeout => 60);
    my ($n, $length) = (0, 0);

    my $res = $http->request('GET', $paths{$plan}, each => sub {
        $length += length($_[0]);
        $redis->freeze if ++$n == 20;
    });

    $redis->thaw;

    is($res->status, 200, "$plan: Redis stands still in the middle");
    like($res->error, qr/closed/, 'the reply is cut');
    cmp_ok($length, '<', length($whole), 'and so it is');
    ok($nginx->log_has(qr/eventsession: log read was cut short: the store did/),
        'which is told');

    is($nginx->get('/event?limit=1')->status, 200, 'and then it is back');
}

$redis->freeze;
is($nginx->get($_)->status, 503, "a frozen Redis: $_")
    for '/event', '/event?explain=1';
$redis->thaw;


# ten writers and ten readers, and a reload: who reads has all that was
# acknowledged before, once, in order and as it was answered

$redis->cli('FLUSHALL');
$nginx->{workers} = 3;
$nginx->reload;

my $dir   = $t->dir;
my $acked = "$dir/acked";
my $wrong = "$dir/wrong";

write_file($_, '') for $acked, $wrong;

my @writers = map { child(\&write_some, $_) } 0 .. 9;
my @readers = map { child(\&read_some, $_) } 0 .. 9;

sleep(0.5);
$nginx->reload;

waitpid($_, 0) for @writers;
write_file("$dir/written", '');
waitpid($_, 0) for @readers;

is(slurp($wrong), '', 'ten writers and ten readers');

my @acked = split(/\n/, slurp($acked));
my $got   = $nginx->get('/event')->body;

is(scalar(@acked), 10 * 60, 'all was acknowledged');
is($got, '[' . join(',', by_time(@acked)) . ']', 'and all of it is there');

$nginx->quit;
ok_log($nginx);
done_testing();


sub calls {
    my $stats = $redis->cli('INFO', 'commandstats');

    return $stats =~ /^cmdstat_zrangebyscore:calls=(\d+)/m ? $1 : 0;
}


sub child {
    my ($code, $n) = @_;

    my $pid = fork() // die "fork: $!";

    return $pid if $pid;

    srand($n);
    eval { $code->($n); 1 } or write_file($wrong, "$n: $@\n");
    POSIX::_exit(0);
}


# A line at a time, whole.

sub write_file {
    my ($path, $text) = @_;

    open(my $file, '>>', $path) or die "$path: $!";
    syswrite($file, $text);
}


sub slurp { EventSession::Redis::slurp($_[0]) }


sub write_some {
    my ($n) = @_;

    for my $i (1 .. 60) {
        my $res = $nginx->request('POST', '/event', headers => JSON,
            body => qq({"email":"w$n\@shop.example","environment":"test",)
                . qq("component":"c$i","message":"m$i of $n","data":[$i]}));

        if ($res->status != 201) {
            write_file($wrong, "POST: " . $res->status . ' '
                . ($res->error // '') . "\n");
            next;
        }

        write_file($acked, $res->body . "\n");
    }
}


sub read_some {
    my ($n) = @_;

    my $last = 0;

    while (!$last) {
        $last = -e "$dir/written";

        my @acked = split(/\n/, slurp($acked));

        # the last line may be half there

        my %arguments = (plan => (qw(best index scan))[rand(3)]);
        my @rows;

        if ($n % 3) {
            $arguments{q} = "(email eq 'w$n\@shop.example')";
            @acked = grep { /"email":"w$n\@/ } @acked;
        }

        if ($n % 2) {
            @rows = pages(%arguments, limit => 1 + int(rand(50)));
        } else {
            my $res = $nginx->get(log_query(%arguments));

            die($res->status . ' ' . ($res->error // '')) if $res->error
                || $res->status != 200;

            @rows = rows($res->body);
        }

        my %rows = map { $_ => 1 } @rows;

        # a line that is half there is no row

        my @missing = grep { /\]\}$/ && !$rows{$_} } @acked;

        die("missing: $missing[0]") if @missing;
        die('there twice') if keys(%rows) != @rows;
        die('not in order') if join(',', @rows) ne join(',', by_time(@rows));
    }
}


sub pages {
    my (%arguments) = @_;

    my $path = log_query(%arguments);
    my @rows;

    while (defined $path) {
        my $res = $nginx->get($path);

        die($res->status . ' ' . ($res->error // '')) if $res->error
            || $res->status != 200;

        push(@rows, rows($res->body));
        $path = log_next($res);
    }

    return @rows;
}


sub rows {
    my ($body) = @_;

    return $body =~ s/^\[|\]$//gr =~ /\{"id".*?\]\}/g;
}


sub by_time {
    my %key = map { my ($id, $at) = /"id":"(.*?)","createdAt":"(.*?)"/;
        ($_ => "$at $id") } @_;

    return sort { $key{$a} cmp $key{$b} } @_;
}

# Why: bench/compare runs for twenty minutes and starts a hundred servers, and
# is run by those who want to see whether the figures are true.  Here it runs
# for seconds; how fast anything is isn't asked.  Known to fail by: a workload
# whose events are not all counted; a server that can't be had and stops the
# rest; servers that outlive a run that is interrupted; a run that is not shown
# because it failed.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use JSON::PP ();
use Test::More;

my $t   = EventSession->new;
my $dir = $t->dir;

mkdir("$dir/peers") or die $!;

open(my $file, '>', "$dir/peers/go.missing") or die $!;
print {$file} "there is no Go here\n";
close($file);


sub compare {
    my (%settings) = @_;

    unlink("$dir/output");

    return EventSession::Process->spawn([ 'bench/compare' ],
        output => "$dir/output", dies => 'TERM', env => { ROUNDS => 1,
            RESULTS => "$dir/results", EVS_PEERS => "$dir/peers", KEEP => '',
            SCALE => 0.005, TMPDIR => $dir, WORKERS => 1, %settings });
}


sub output { EventSession::Redis::slurp("$dir/output") }


sub lines {
    return map { JSON::PP::decode_json($_) }
        split(/^/, EventSession::Redis::slurp("$dir/results/comparison.jsonl"));
}


# Command lines that have this test's folder in them.

sub left {
    return grep { EventSession::Redis::slurp("$_/cmdline") =~ /\Q$dir\E/ }
        glob('/proc/[0-9]*');
}


# all that there is, once

my $status = compare(SERVERS => 'eventsession go',
    WORKLOADS => 'W1 W4 W5a W6 M100')->wait(120 * slow());

is($status, 0, 'it runs') or diag(output());

my ($about, @runs) = lines();

is($about->{command} =~ s/ SCALE.*//r, q(make bench SERVERS='eventsession go')
    . q( WORKLOADS='W1 W4 W5a W6 M100' ROUNDS='1'), 'its command');

is_deeply([ map { "$_->{workload} $_->{server}" } @runs ],
    [ map { "$_ eventsession" } qw(W1 W4 W5a W6 M100) ], 'all runs');

is_deeply([ grep { defined } map { $_->{error} } @runs ], [], 'without fault');

for my $run (@runs) {
    my @figures = $run->{workload} =~ /^[WM](?:6|100)$/ ? 'bytes'
        : qw(rate server_cpu redis_cpu p50_us);

    is(scalar(grep { ($run->{$_} // 0) > 0 } @figures), scalar(@figures),
        "$run->{workload} has @figures");
}

like(output(), qr/^go is left out: there is no Go here$/m,
    'what is missing is told');
like(EventSession::Redis::slurp("$dir/results/comparison.md"),
    qr/^Left out was go: there is no Go here$/m, 'in the report, too');
ok(-s "$dir/results/comparison.svg", 'and there is a chart');

is_deeply([ left() ], [], 'no process is left');
is_deeply([ glob("$dir/evs-*") ], [], 'and no folder');


# one that is interrupted

my $run = compare(SERVERS => 'eventsession', WORKLOADS => 'W6', SCALE => 0.1);

ok(wait_for { grep { /nginx/ } map { EventSession::Redis::slurp("$_/cmdline") }
    left() }, 'it has started a server');

$run->end('TERM', 30);

ok(wait_for { !left() }, 'and has ended it');
is_deeply([ glob("$dir/evs-*") ], [], 'and left no folder');


# what isn't known

for my $bad ([ SERVERS => 'gone' ], [ SERVERS => 'go:0' ],
    [ WORKLOADS => 'W7' ], [ SERVERS => 'go' ])
{
    isnt(compare(@$bad)->wait(30 * slow()), 0, "@$bad is refused");
    like(output(), qr/^(?:no (?:such )?(?:server|workload)|there is nothing)/m,
        'and told');
}

done_testing();

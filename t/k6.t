# Why: t/k6 is for people who have k6, and would be the first to notice that it
# no longer works.  Known to fail by: an answer that the scripts did not learn
# of; a script that says all is well whatever the server does.
#
# Neither Debian nor npm has k6: where it is not (in the PATH, or EVS_K6), the
# scripts are held against k6's own types, which npm has, and are not run.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Node;
use EventSession::Track;
use Test::More;

chdir($EventSession::root);

my $k6 = $ENV{EVS_K6} || 'k6';
my $t  = EventSession->new;

my $missing = EventSession::Node->missing;

SKIP: {
    skip($missing, 1) if $missing;

    is(types(), '', 'they are what k6 takes');
}

SKIP: {
    skip('there is no k6', 1) if system("$k6 version > /dev/null 2>&1");

    my $redis = $t->redis;
    my $nginx = $t->nginx(redis => $redis, workers => 2,
        http => track_conf());

    for my $script (qw(websocket session suite)) {
        my ($status, $output) = run($script, $nginx, VUS => 2);

        is($status, 0, "$script: every check") or diag($output);
        like($output, qr/checks\S*: 100\.00%/, 'of those that were made');
    }

    $redis->stop;

    my ($status, $output) = run('session', $nginx);

    is($status >> 8, 99, 'without Redis they fail') or diag($output);

    $nginx->quit;
    ok_log($nginx);
}

done_testing();


sub types {
    EventSession::Node::install();

    return qx(t/node/node_modules/.bin/tsc -p t/k6/tsconfig.json 2>&1);
}


sub run {
    my ($script, $nginx, %env) = @_;

    my $output  = $t->folder($script) . '/output';
    my $process = EventSession::Process->spawn(
        [ $k6, 'run', '--no-usage-report', '--no-color', '-e',
          'URL=' . $nginx->url, (map { ('-e', "$_=$env{$_}") } keys(%env)),
          "t/k6/$script.js" ], output => $output);

    my $status = $process->wait(120 * slow());

    return ($status, EventSession::Redis::slurp($output));
}

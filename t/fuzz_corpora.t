# Why: what the fuzzers found interesting, or once broke, stays right.  Each
# t/unit/fuzz_NAME.c is built as replay_NAME and given the inputs that are
# committed as t/unit/corpus/NAME/, one process a target.

use strict;
use warnings;

use Test::More;

my $built = $ENV{EVS_UNIT} || 'build/nginx/unit';

my @targets = map { m{t/unit/fuzz_(\w+)\.c$} ? $1 : () }
    grep { !/fuzz_replay\.c$/ } glob('t/unit/fuzz_*.c');

plan(skip_all => 'there are no fuzz targets') if !@targets;

for my $target (@targets) {
    my @inputs = glob("t/unit/corpus/$target/*");

    ok(@inputs > 0, "$target has a corpus");

    open(my $replay, '-|', "$built/replay_$target", @inputs)
        or die "$built/replay_$target: $!, `make unit` builds it";

    my @output = <$replay>;

    ok(close($replay), "$target holds for " . @inputs . ' inputs')
        or diag(@output);
}

done_testing();

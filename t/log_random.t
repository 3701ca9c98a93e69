# Why: a filter has a parser, a planner and two ways to each record, and all of
# them must agree with what the filter says: random filters over random
# records are answered by every plan, and judged by an evaluator that shares
# nothing with the module.  Known to fail by: an index that is narrower than
# its comparison; AND and OR in a wrong order; a bound of createdAt that is
# applied to the wrong side of an OR; a record that two branches lead to;
# entries of two µs in one reply; texts compared as they are written in JSON;
# case folded in another way.
#
#     EVS_FILTERS=20000    that many filters, each by every plan
#     EVS_SEED=7           others

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Filter;
use EventSession::Log;
use Test::More;

use constant { RECORDS => 150, PLANS => [qw(best index range scan)] };

my $filters = $ENV{EVS_FILTERS} || 1500;
my $all     = $ENV{EVS_FILTERS};
my $seed    = $ENV{EVS_SEED} || 4;

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis,
    http => 'large_client_header_buffers 4 64k; keepalive_requests 1000000;');

# starting servers takes numbers, too

srand($seed);

my %used;
my ($asked, $matched, $none, $long) = (0, 0, 0, 0);

for my $n (1 .. $filters) {
    renew() if $n % 500 == 1;

    one($n);

    last if $none > 5;
}

is($none, 0, "$asked answers to $filters random filters");

note("seed $seed; $matched records matched; plans: ",
    join(', ', map { "$used{$_} $_" } sort(keys(%used))));

# the generator is worth something

cmp_ok($used{$_} // 0, '>', 0, "$_ was among the plans")
    for qw(scan range index intersection union);

cmp_ok($matched / $asked, '>', 5, 'filters match something');
cmp_ok($long, '>', $filters / 50, 'and some are long');

$nginx->quit;
ok_log($nginx);
done_testing();


# Other records.

my (@records, %rows);

sub renew {
    $redis->cli('FLUSHALL');

    @records = map { random_record($_) } 1 .. RECORDS;

    # by createdAt, then by id

    @records = sort { $a->{us} <=> $b->{us} || $a->{id} cmp $b->{id} }
        @records;

    log_add($redis, @records);

    $_->{row} = log_row($_) for @records;
}


sub one {
    my ($n) = @_;

    my ($filter, $text);

    # within the limits: 64 comparisons, each with two quotes at least, and
    # 4096 bytes

    do {
        $filter = random_filter(@records);
        $text   = filter_text($filter);
    } while (length(bytes_of($text)) > 4000
        || ($text =~ tr/'"//) > 126);

    my @right    = grep { filter_match($filter, $_) } @records;
    my $expected = '[' . join(',', map { $_->{row} } @right) . ']';
    my @plans    = $all ? @{ +PLANS } : ('best', PLANS->[1 + $n % 3]);

    for my $plan (@plans) {
        my $res = log_get($nginx, q => $text, plan => $plan);

        $asked++;
        $matched += @right;

        next if $res->status == 200 && $res->body eq $expected;

        wrong($plan, $text, $expected, $res);
        return;
    }

    $long++ if length($text) > 300;

    # every few: what the plan was, and the same in pages

    if ($n % 3 == 0) {
        my $plan = log_get($nginx, q => $text, explain => 1,
            plan => $n % 2 ? 'best' : 'index')->json;

        $used{ $plan->{access} }++;
    }

    if ($n % 7 == 0) {
        my @pages = log_pages($nginx, q => $text, limit => 1 + int(rand(20)),
            plan => $n % 2 ? 'best' : 'index');

        my $whole = '[' . join(',', @pages) . ']';

        is($whole, $expected, 'in pages: ' . bytes_of($text))
            if $whole ne $expected;
    }
}


sub wrong {
    my ($plan, $text, $expected, $res) = @_;

    $none++;

    my $shown = bytes_of($text);

    diag("plan $plan: $shown\n  ", log_query(q => $text), "\n  expected ",
        ids($expected), "\n  got      ", $res->status, ' ',
        $res->status == 200 ? ids($res->body) : $res->body);
}


sub ids { join(' ', $_[0] =~ /"id":"([0-9a-f]{8})/g) }

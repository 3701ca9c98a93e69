# Why: the assignment's own load: a body as its generator's settings make it,
# of 10,000 to 15,000 entries, timestamps over ten years with an offset, and
# numbers for data.  It must be taken as it is, spread over five shards, and
# come back with every value unchanged.  Known to fail by: nginx's limit of 1 MB
# for a body; a shard by local time; an offset that is lost on the way back; a
# sum of events_count that is another one than was sent.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use List::Util qw(sum0);
use POSIX qw(strftime);
use Test::More;

use constant {
    BEGIN_TIME => 1388534400,        # 2014-01-01T00:00:00Z
    DAY        => 86_400,
};

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis);

my @offsets = (0, -180, 120, 330, -570, 765, -720, 60);
my @numbers = (12312, 0, -1, '1.50', '0.1', '1e3', '-0.0', '9007199254740993',
    '123456789012345678901234567890', '1E-400');


# "YYYY-MM-ddThh:mm:ssZ", where Z is an offset

sub stamp {
    my ($seconds, $minutes) = @_;

    return strftime('%Y-%m-%dT%H:%M:%S', gmtime($seconds + $minutes * 60))
        . sprintf('%s%02d:%02d', $minutes < 0 ? '-' : '+',
            abs($minutes) / 60, abs($minutes) % 60);
}


# One entry: its second, and its text as it is shown.

sub random_entry {
    my ($data) = @_;

    my $seconds = BEGIN_TIME + int(rand(3650 * DAY));
    my $stamp   = stamp($seconds, $offsets[rand(@offsets)]);

    return [ $seconds, entry(timestamp => qq("$stamp"), data => $data) ];
}


# With blanks, as the generator prints it.

sub pretty {
    return "[\n" . join(",\n", map {
        my ($stamp, $data) = $_ =~ /^\{"timestamp":(".*?"),"data":(.*)\}$/;

        qq(  {\n    "timestamp": $stamp,\n    "data": $data\n  })
    } @_) . "\n]\n";
}


my (@all, %shards);

for my $round (1 .. 3) {
    my $n = 10_000 + int(rand(5001));

    my @entries = map {
        random_entry($round == 1 ? 12312 : $numbers[rand(@numbers)])
    } 1 .. $n;

    my $body = pretty(map { $_->[1] } @entries);

    cmp_ok(length($body), '>', 700_000, "a body of $n entries");
    accepted($nginx, $body, $n, 'is accepted');

    push(@all, @entries);
}

$shards{ shard_of($_->[0], 5) }++ for @all;

is(join(' ', sort(keys(%shards))), '0 1 2 3 4', 'they are of five shards');

# each has about a fifth: 500 is nearly six times the deviation at least

is(scalar(grep { abs($_ - @all / 5) > 500 } values(%shards)), 0,
    'which are even');

is_deeply({ stored($redis) }, \%shards, 'each is where its second belongs');
is_deeply({ counted($nginx) }, \%shards, 'and is counted there');

my $workers = $nginx->get('/workers')->json->{workers};

is(sum0(map { $_->{events_count} } @$workers), scalar(@all),
    'the sum is what was sent');
is(scalar(@$workers), 15, 'by fifteen workers');
is(scalar(grep { $_->{events_count} == 0 } @$workers), 0,
    'all of which had something to do');

my @back = events($nginx);

is(scalar(@back), scalar(@all), 'all are read back');
is(join("\n", sort(@back)), join("\n", sort(map { $_->[1] } @all)),
    'with every value unchanged');

my %second = map { $_->[1] => $_->[0] } @all;
my $last   = 0;
my $wrong  = 0;

for my $text (@back) {
    $wrong++ if $second{$text} < $last;
    $last = $second{$text};
}

is($wrong, 0, 'in order of time');

for my $shard (0 .. 4) {
    is(join("\n", sort(events($nginx, "shard=$shard"))),
        join("\n", sort(map { $_->[1] }
            grep { shard_of($_->[0], 5) == $shard } @all)),
        "shard $shard has its own");
}


# into a single one

my @entries = map { random_entry(12312) } 1 .. 10_000;

accepted($nginx, pretty(map { $_->[1] } @entries), 10_000,
    'with single_shard=true', path => '/events?single_shard=true');

my %now  = stored($redis);
my @more = grep { $now{$_} != $shards{$_} } keys(%now);

is(scalar(@more), 1, 'one shard has more');
is($now{ $more[0] } - $shards{ $more[0] }, 10_000, 'which is all of it');
is(sum0(values(%{ { counted($nginx) } })), @all + 10_000,
    'and all are counted');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);

done_testing();

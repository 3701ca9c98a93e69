package Bench::Report;

# What the lines of bench/compare say: medians and ranges as tables, and
# whether the aims are met.  Knows no server and measures nothing.
#
#     my $report = Bench::Report->read("$folder/comparison.jsonl");
#
#     print $report->medians, $report->aims;    # Markdown
#
#     $report->write($folder);            # comparison.md and comparison.svg
#     $report->write_readme($path);       # its part between the two comments
#
#     $report->median('W1', 'go', 'rate');      # undef: not measured
#     $report->values('W1', 'eventsession:2', 'rate');
#
# A server's label has its number of workers behind it, unless that is 1.

use strict;
use warnings;
use utf8;

use JSON::PP ();

use Bench::Chart;

my $begin = '<!-- what `make bench KEEP=1` has written -->';
my $end   = '<!-- to here -->';

my @all_servers = qw(eventsession eventsession:2 feed go lua node ioredis nchan
    null yyjson);

my @all_workloads = qw(W1 W2 W3 W4 W5a W5b W5c W6 M100 M1000);

# in the words of one who has not read the code

my %work = (
    W1    => '64 WebSockets, 1 event a message, 1 message under way',
    W2    => '64 WebSockets, 10 events a message, 8 messages under way',
    W3    => '64 WebSockets, 100 events a message, 4 messages under way',
    W4    => 'POST of 10,000 events, 4 connections',
    W5a   => 'GET of a session of 10 events, 16 connections',
    W5b   => 'GET of a session of 1,000 events, 16 connections',
    W5c   => 'GET of a session of 100,000 events, 2 connections',
    W6    => '10,000 WebSockets, open and idle',
    M100  => 'Redis\' memory, sessions of 100 events',
    M1000 => 'Redis\' memory, sessions of 1,000 events',
);

my %about = (
    eventsession => 'this module, without a feed, batches with `batch=100`',
    feed         => 'this module, everything is on the feed as well',
    go           => 'gorilla/websocket, redigo, fastjson',
    lua          => 'nginx with lua-nginx-module, lua-resty-websocket and'
                    . ' -redis, cjson',
    node         => 'Node with ws and redis',
    ioredis      => 'Node with ws and ioredis',
    nchan        => 'nginx with nchan, which keeps a message whole and unread:'
                    . ' to be compared by messages',
    null         => 'a ceiling: a bare epoll loop in C that unmasks a message'
                    . ' and answers it',
    yyjson       => 'a ceiling: the same, which reads it with yyjson and stores'
                    . ' it',
);

my %units = (
    rate       => [ 'events/s', 'events/s' ],
    server_cpu => [ 'server CPU, s per million events', 's/M server' ],
    redis_cpu  => [ 'Redis CPU, s per million events', 's/M Redis' ],
    p50_us     => [ 'median answer, µs', 'µs p50' ],
    p99_us     => [ 'p99, µs', 'µs p99' ],
    bytes      => [ 'bytes', 'bytes' ],
    idle_cpu   => [ 'idle CPU, % of a core', '% idle' ],
    rss_kb     => [ 'server\'s memory, KB', 'KB' ],
    other_cpu  => [ 'others on the machine, %', '% others' ],
);

# of a workload: a figure, how it must be, to what, of whom; undef: absolute.
# Only "eventsession" is judged; "two" is it with two workers, against one.

my @aims = (
    [ W1  => 'rate',       '>=', 0.9,  'yyjson' ],
    [ W1  => 'rate',       '>=', 1.25, 'go' ],
    [ W1  => 'server_cpu', '<=', 0.7,  'go' ],
    [ W2  => 'rate',       '>=', 0.95, 'yyjson' ],
    [ W2  => 'server_cpu', '<=', 0.25, 'go' ],
    [ W3  => 'rate',       '>=', 1.0,  'yyjson' ],
    [ W3  => 'server_cpu', '<=', 0.25, 'go' ],
    [ W4  => 'rate',       '>=', 1.3,  'go' ],
    [ W4  => 'server_cpu', '<=', 0.4,  'go' ],
    [ W5a => 'rate',       '>=', 1.6,  'go' ],
    [ W5a => 'server_cpu', '<=', 0.45, 'go' ],
    [ W5b => 'rate',       '>=', 2.2,  'go' ],
    [ W5b => 'server_cpu', '<=', 0.25, 'go' ],
    [ W5c => 'rate',       '>=', 2.5,  'go' ],
    [ W5c => 'server_cpu', '<=', 0.25, 'go' ],
    [ W6  => 'bytes',      '<=', 3072 ],
    [ M100  => 'bytes',    '<=', 60 ],
    [ M1000 => 'bytes',    '<=', 140 ],
    (map { [ $_ => 'rate', '>=', 1.0, 'two' ] } qw(W1 W2 W3 W4)),
);


sub read {
    my ($class, $path) = @_;

    open(my $file, '<:raw', $path) or die "$path: $!\n";

    my @lines = map { JSON::PP::decode_json($_) } <$file>;
    my $about = shift(@lines);

    die "$path is not of bench/compare\n"
        if ($about->{about} // '') ne 'bench/compare';

    my $self = bless { about => $about, runs => {} }, $class;

    for my $run (@lines) {
        push(@{ $self->{runs}{ $run->{workload} }{ label($run) } }, $run);
    }

    return $self;
}


sub label {
    my ($run) = @_;

    return $run->{server} . ($run->{workers} > 1 ? ":$run->{workers}" : '');
}


sub shown {
    my ($run, $figure) = @_;

    my $unit = $units{$figure}[1];

    $unit = 'requests/s' if $figure eq 'rate' && $run->{workload} =~ /^W5/;

    return number($run->{$figure}) . " $unit";
}


sub workloads {
    my ($self) = @_;

    return grep { $self->{runs}{$_} } @all_workloads;
}


# In their order; those with more workers than usual behind their like.

sub servers {
    my ($self, @workloads) = @_;

    my %there = map { $_ => 1 } map { keys(%{ $self->{runs}{$_} }) }
        @workloads;

    my %order = map { $all_servers[$_] => $_ } 0 .. $#all_servers;

    my @there = sort {
        ($order{ $a =~ s/:.*//r } // 99) <=> ($order{ $b =~ s/:.*//r } // 99)
            || $a cmp $b
    } keys(%there);

    return @there;
}


# In the order of rounds; without those that failed.

sub values {
    my ($self, @of) = @_;

    my $rounds = $self->rounds(@of);

    return map { $rounds->{$_} } sort { $a <=> $b } keys(%$rounds);
}


# By the round's number.

sub rounds {
    my ($self, $workload, $label, $figure) = @_;

    return { map { $_->{round} => $_->{$figure} }
        grep { !defined $_->{error} && defined $_->{$figure} }
        @{ $self->{runs}{$workload}{$label} // [] } };
}


sub median {
    my ($self, @of) = @_;

    return median_of($self->values(@of));
}


sub median_of {
    my (@values) = sort { $a <=> $b } @_;

    return if !@values;

    return ($values[$#values / 2] + $values[@values / 2]) / 2;
}


# 1,234,567  1,234  123  12.3  1.23

sub number {
    my ($value) = @_;

    return '-' if !defined $value;

    my $digits = abs($value) >= 99.5 ? 0 : abs($value) >= 9.95 ? 1 : 2;
    my $text   = sprintf("%.${digits}f", $value);

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;

    return $text;
}


# With its range, where there are several values that differ.

sub ranged {
    my ($value, @values) = @_;

    my ($low, $high) = map { number($_) }
        (sort { $a <=> $b } @values)[0, -1];

    return number($value) if @values < 2 || $low eq $high;

    return number($value) . " ($low–$high)";
}


sub table {
    my ($head, @rows) = @_;

    my $columns = @$head;

    return join('', map { "$_\n" } '| ' . join(' | ', @$head) . ' |',
        '|---|' . '---:|' x ($columns - 1),
        map { '| ' . join(' | ', @$_) . ' |' } @rows);
}


# A column a server, three lines a workload.

sub medians {
    my ($self) = @_;

    my @servers = $self->servers($self->workloads);
    my @rows;

    for my $workload ($self->workloads) {
        for my $figure (qw(rate server_cpu redis_cpu bytes)) {
            my @medians = map { $self->median($workload, $_, $figure) }
                @servers;

            next if !grep { defined } @medians;

            push(@rows, [ row_title($workload, $figure),
                map { defined $self->median($workload, $_, $figure)
                    ? number($self->median($workload, $_, $figure)) : '' }
                @servers ]);
        }
    }

    return table([ '', @servers ], @rows);
}


sub row_title {
    my ($workload, $figure) = @_;

    my $unit = unit($workload, $figure);

    return "**$workload** $unit" if $figure eq 'rate' || $figure eq 'bytes';

    return $unit =~ s/,.*//r;
}


sub unit {
    my ($workload, $figure) = @_;

    return 'requests/s' if $figure eq 'rate' && $workload =~ /^W5/;

    return $units{$figure}[0] if $figure ne 'bytes';

    return $workload eq 'W6' ? 'bytes a connection'
        : 'bytes of Redis an event';
}


sub aims {
    my ($self) = @_;

    my @rows = map { $self->aim(@$_) } @aims;

    return '' if !@rows;

    return table([ 'aim', 'wanted', 'measured', '' ], @rows);
}


# One row, or none where it was not measured.  A ratio is one of medians; its
# range is that of the rounds that have both.

sub aim {
    my ($self, $workload, $figure, $how, $wanted, $other) = @_;

    my $who = 'eventsession';

    ($who, $other) = ('eventsession:2', $who) if ($other // '') eq 'two';

    my @values = $self->values($workload, $who, $figure);
    my $value  = median_of(@values) // return;

    if ($other) {
        my $ours   = $self->rounds($workload, $who, $figure);
        my $theirs = $self->rounds($workload, $other, $figure);

        $value /= median_of(CORE::values(%$theirs)) // return;
        @values = map { $ours->{$_} / $theirs->{$_} }
            grep { defined $theirs->{$_} } keys(%$ours);
    }

    my $met = $how eq '>=' ? $value >= $wanted : $value <= $wanted;

    return [ "$workload, " . unit($workload, $figure) =~ s/, s per.*//r
            . (!$other ? '' : $who =~ /:/ ? ' of two workers ÷ one\'s'
                : " ÷ $other\'s"),
        ($how eq '>=' ? '≥ ' : '≤ ') . number($wanted),
        ranged($value, @values), $met ? 'met' : '**missed**' ];
}


# What must be known to repeat it, and how noisy it was.

sub conditions {
    my ($self) = @_;

    my $about   = $self->{about};
    my $machine = $about->{machine};

    my @others = map { my $w = $_;
        map { $self->values($w, $_, 'other_cpu') } $self->servers($w)
    } $self->workloads;

    my $noise = !@others ? '' : sprintf(' Other processes took %s %% of the'
        . ' machine meanwhile (median of all runs; %s at the most).',
        number(median_of(@others)),
        number((sort { $a <=> $b } @others)[-1]));

    return "`$about->{command}` on $about->{date}, commit `$about->{commit}`:"
        . " $machine->{cpu}, $machine->{cores} cores, $machine->{memory},"
        . " $machine->{system}, Linux $machine->{kernel}; "
        . join(', ', map { "$_->[0] $_->[1]" } @{ $about->{versions} })
        . ($about->{rounds} > 1 ? ". Medians of $about->{rounds} interleaved"
            . ' rounds.' : '. One round.') . "$noise\n";
}


sub skipped {
    my ($self) = @_;

    my $skipped = $self->{about}{skipped};

    return join('', map { "\nLeft out was $_: $skipped->{$_}\n" }
        sort(keys(%$skipped)));
}


sub legend {
    my ($self) = @_;

    my %there = map { s/:.*//r => 1 } $self->servers($self->workloads);

    return "| | server |\n|---|---|\n"
        . join('', map { "| $_ | $about{$_} |\n" }
            grep { $there{$_} && $about{$_} } @all_servers)
        . "\n| | workload |\n|---|---|\n"
        . join('', map { "| $_ | $work{$_} |\n" } $self->workloads);
}


# Each server's ranges, a table a workload.

sub details {
    my ($self) = @_;

    return join("\n", map { $self->detail($_) } $self->workloads);
}


sub detail {
    my ($self, $workload) = @_;

    my @servers = $self->servers($workload);
    my @figures = grep {
        my $figure = $_;
        grep { defined $self->median($workload, $_, $figure) } @servers;
    } qw(rate bytes server_cpu redis_cpu p50_us p99_us rss_kb idle_cpu
        other_cpu);

    my @rows = map { my $server = $_;
        [ $server, map { my @v = $self->values($workload, $server, $_);
            @v ? ranged(median_of(@v), @v) : '' } @figures ]
    } @servers;

    return "## $workload\n\n$work{$workload}.\n\n"
        . table([ '', map { unit($workload, $_) } @figures ], @rows)
        . $self->failures($workload);
}


sub failures {
    my ($self, $workload) = @_;

    my @failed = grep { defined $_->{error} }
        map { @{ $self->{runs}{$workload}{$_} } } $self->servers($workload);

    return join('', map { "\nRound $_->{round} of " . label($_)
        . " failed: $_->{error}\n" } @failed);
}


sub body {
    my ($self, $chart) = @_;

    return $self->conditions . "\n![Throughput and CPU of each server]($chart)"
        . "\n\n" . $self->legend . "\n" . $self->medians . "\n" . $self->aims
        . $self->skipped;
}


sub write {
    my ($self, $folder) = @_;

    spew("$folder/comparison.svg", Bench::Chart::svg($self));
    spew("$folder/comparison.md", "# The module beside others\n\n"
        . $self->body('comparison.svg') . "\n" . $self->details);
}


sub write_readme {
    my ($self, $path) = @_;

    open(my $file, '<:raw', $path) or die "$path: $!\n";
    my $text = do { local $/; <$file> };
    close($file);

    utf8::decode($text);

    my $body = $self->body('bench/results/comparison.svg');

    $text =~ s{(?<=\Q$begin\E\n).*?(?=\Q$end\E\n)}{\n$body\n}s
        or die "$path has no place for it: $begin\n";

    spew($path, $text);
}


sub spew {
    my ($path, $text) = @_;

    utf8::encode($text);

    open(my $file, '>:raw', $path) or die "$path: $!\n";
    print {$file} $text;
    close($file) or die "$path: $!\n";
}


1;

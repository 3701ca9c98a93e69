package Bench::Chart;

# The chart of a Bench::Report: for each workload how much a server does, and
# what CPU it takes of itself and of Redis.
#
#     my $svg = Bench::Chart::svg($report);
#
# It has its own background, and other colours where the reader's are dark; its
# letters are the reader's.

use strict;
use warnings;
use utf8;

use constant { WIDTH => 880, BAR => 13, STEP => 18, NAMES => 118,
    SCALE => 225, LEFT => 126, RIGHT => 506, TOP => 62 };

# A row of two panels each: what is left and what is right.  What neither reads
# nor stores is in the tables only: its bars would leave no room for others.

my @rows = (
    (map { [ [ $_->[0], 'rate', $_->[1] ],
             [ $_->[0], 'cpu', 'CPU seconds per million events' ] ] }
        [ W1 => 'W1: one event a message, events/s' ],
        [ W2 => 'W2: 10 events a message, events/s' ],
        [ W3 => 'W3: 100 events a message, events/s' ],
        [ W4 => 'W4: POST of 10,000 events, events/s' ],
        [ W5b => 'W5: GET of 1,000 events, requests/s' ]),
    [ [ W6 => 'bytes', 'W6: memory of an idle WebSocket, bytes' ],
      [ M1000 => 'bytes', 'Redis\' memory of an event, sessions of 1,000' ] ],
);

my %left_out = (null => 1);
my %ceilings = (yyjson => 1);

# who does less has no more than that to thank for it

my %names = (nchan => 'nchan, unread');

my $style = <<'END';
svg { font: 12px sans-serif; }
.back { fill: #ffffff; }
text { fill: #1f2328; }
.quiet { fill: #59636e; }
.title { font-weight: bold; }
.ours { fill: #0969a8; }
.peer { fill: #8b96a5; }
.ceiling { fill: #cdd4dd; }
.redis { fill: #d98b3a; }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117; }
text { fill: #e6edf3; }
.quiet { fill: #9198a1; }
.ours { fill: #4fb3f6; }
.peer { fill: #7b8594; }
.ceiling { fill: #47505c; }
.redis { fill: #c9803a; }
}
END


sub svg {
    my ($report) = @_;

    my $y    = TOP;
    my $body = '';

    for my $row (@rows) {
        my @servers = row_servers($report, $row);

        next if !@servers;

        $body .= panels($report, $row, $y, @servers);
        $y += 26 + STEP * @servers + 12;
    }

    my $rounds = $report->{about}{rounds};
    my $title  = 'Throughput and CPU, '
        . ($rounds > 1 ? "medians of $rounds rounds" : 'one round')
        . ", $report->{about}{date}";

    return join("\n", '<svg xmlns="http://www.w3.org/2000/svg" role="img"'
        . ' width="' . WIDTH . qq(" height="$y")
        . ' viewBox="0 0 ' . WIDTH . qq( $y">),
        '<title>' . escaped($title) . '</title>',
        "<style>\n$style</style>",
        rectangle('back', 0, 0, WIDTH, $y),
        text('title', 12, 24, $title), legend(), $body) . "</svg>\n";
}


sub legend {
    my @colours = ([ ours => 'this module' ], [ peer => 'a peer' ],
        [ ceiling => 'a ceiling, bare C' ], [ redis => 'Redis\' CPU' ]);

    my $x   = 12;
    my $all = '';

    for my $colour (@colours) {
        my ($class, $name) = @$colour;

        $all .= rectangle($class, $x, 36, BAR, BAR)
            . text('quiet', $x + BAR + 5, 47, $name);

        $x += 40 + 7 * length($name);
    }

    return $all;
}


sub row_servers {
    my ($report, $row) = @_;

    my @servers = $report->servers(map { $_->[0] } @$row);

    return grep {
        my $server = $_;
        !$left_out{$server}
            && grep { bar_length(bar($report, $server, $_)) } @$row;
    } @servers;
}


# The lengths of a bar's two parts: of what is measured, and of Redis.

sub bar {
    my ($report, $server, $panel) = @_;

    my ($workload, $figure) = @$panel;

    return map { $report->median($workload, $server, $_) // 0 }
        $figure eq 'cpu' ? qw(server_cpu redis_cpu) : $figure;
}


sub bar_length {
    my (@parts) = @_;

    return $parts[0] + ($parts[1] // 0);
}


sub panels {
    my ($report, $row, $top, @servers) = @_;

    my $svg = '';

    for my $i (0 .. $#servers) {
        $svg .= text('name', NAMES, $top + 26 + STEP * $i + BAR - 2,
            $names{ $servers[$i] } // $servers[$i], 'end');
    }

    for my $side (0, 1) {
        my $panel = $row->[$side];
        my $x     = $side ? RIGHT : LEFT;

        my ($longest) = sort { $b <=> $a }
            map { bar_length(bar($report, $_, $panel)) } @servers;

        next if !$longest;

        $svg .= text('title', $x, $top + 14, $panel->[2]);

        for my $i (0 .. $#servers) {
            $svg .= drawn($servers[$i], $x, $top + 26 + STEP * $i,
                SCALE / $longest, bar($report, $servers[$i], $panel));
        }
    }

    return $svg;
}


sub drawn {
    my ($server, $x, $y, $scale, @parts) = @_;

    return '' if !bar_length(@parts);

    my $class = $server =~ /^(?:eventsession|feed)\b/ ? 'ours'
        : $ceilings{$server} ? 'ceiling' : 'peer';

    my $width = $parts[0] * $scale;
    my $svg   = rectangle($class, $x, $y, $width, BAR);

    if (defined $parts[1]) {
        $svg .= rectangle('redis', $x + $width, $y, $parts[1] * $scale, BAR);
        $width += $parts[1] * $scale;
    }

    return $svg . text('quiet', $x + $width + 6, $y + BAR - 2,
        join(' + ', map { Bench::Report::number($_) } @parts));
}


sub rectangle {
    my ($class, $x, $y, $width, $height) = @_;

    return sprintf('<rect class="%s" x="%.1f" y="%.1f" width="%.1f"'
        . qq( height="%.1f"/>\n), $class, $x, $y, $width, $height);
}


sub text {
    my ($class, $x, $y, $text, $anchor) = @_;

    return sprintf(qq(<text class="%s" x="%.1f" y="%.1f"%s>%s</text>\n),
        $class, $x, $y, $anchor ? qq( text-anchor="$anchor") : '',
        escaped($text));
}


sub escaped {
    my ($text) = @_;

    $text =~ s/&/&amp;/g;
    $text =~ s/</&lt;/g;

    return $text;
}


1;

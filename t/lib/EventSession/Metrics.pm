package EventSession::Metrics;

# /metrics as tests look at it: read strictly, by the text format's rules, and
# compared with what was there before.
#
#     my $m = metrics($nginx);             # dies when it is no such text
#
#     $m->value('eventsession_events_total{endpoint="ws",outcome="stored"}');
#     $m->sum('eventsession_events_total', outcome => 'stored');
#     $m->series;                          # { 'name{labels}' => value }
#     $m->type('eventsession_events_total');
#     $m->families;                        # { name => 'type label label' }
#     $m->faults;                          # what no metrics may have
#
#     $m->since($before);                  # counters that have grown, and
#                                          # gauges that are another:
#                                          # { 'name{labels}' => by how much },
#                                          # without "eventsession_" and what
#                                          # depends on time
#     $m->shrunk($before);                 # counters that are less than before

use strict;
use warnings;

use Carp;
use Exporter 'import';

our @EXPORT = qw(metrics);

my $label = qr/[a-z_]+="(?:[^"\\\n]|\\["\\n])*"/;


# Options are those of the request.

sub metrics {
    my ($nginx, %options) = @_;

    my $res = $nginx->get($options{path} // '/metrics');

    croak '/metrics: ' . $res->status . ' ' . ($res->error // '')
        if $res->status != 200 || $res->error;

    return EventSession::Metrics->parse($res->body);
}


sub parse {
    my ($class, $text) = @_;

    my $self = bless { text => $text, series => {}, types => {} }, $class;
    my $family;

    croak 'the last line has no end' if $text !~ /\n\z/;

    for my $line (split(/\n/, $text)) {

        if ($line =~ /^# HELP (\w+) \S.*$/) {
            croak "twice: $1" if $self->{types}{$1};
            $family = $1;

        } elsif ($line =~ /^# TYPE (\w+) (gauge|counter|histogram)$/) {
            croak "$1 without help" if $1 ne ($family // '');
            $self->{types}{$1} = $2;

        } elsif ($line =~ /^((\w+?)(_bucket|_sum|_count)?
                (?:\{$label(?:,$label)*\})?)\ (-?[0-9.]+)$/x)
        {
            my ($series, $name, $suffix, $value) = ($1, $2, $3 // '', $4);

            $name .= $suffix if ($self->{types}{$name} // '') ne 'histogram';

            croak "not with its family: $line" if $name ne ($family // '');
            croak "twice: $series" if exists $self->{series}{$series};

            $self->{series}{$series} = $value;
            push(@{ $self->{order} }, $series);

        } else {
            croak "what is this: $line";
        }
    }

    return $self;
}


sub text   { $_[0]{text} }
sub series { $_[0]{series} }


sub type {
    my ($self, $series) = @_;

    my ($name) = $series =~ /^(\w+)/;

    return $self->{types}{$name}
        // $self->{types}{ $name =~ s/_(?:bucket|sum|count)$//r };
}


sub value {
    my ($self, $series) = @_;

    return $self->{series}{$series} // croak "there is no $series";
}


# { name => 'type label ...' }

sub families {
    my ($self) = @_;

    my %families;

    for my $series (keys(%{ $self->{series} })) {
        my ($name) = $series =~ /^(\w+)/;

        $name =~ s/_(?:bucket|sum|count)$// if !$self->{types}{$name};

        $families{$name} = join(' ', $self->{types}{$name},
            sort(grep { $_ ne 'le' } $series =~ /(\w+)="/g));
    }

    return \%families;
}


# Of all series of a name that have these labels.

sub sum {
    my ($self, $name, %labels) = @_;

    my $sum = 0;

    for my $series (keys(%{ $self->{series} })) {
        next if $series !~ /^$name(?:\{|$)/;
        next if grep { $series !~ /[{,]$_="\Q$labels{$_}\E"/ } keys(%labels);

        $sum += $self->{series}{$series};
    }

    return $sum;
}


# Below zero, or a histogram whose buckets don't grow to its count.

sub faults {
    my ($self) = @_;

    my @faults = grep { $self->{series}{$_} < 0 } @{ $self->{order} };
    my ($last, $before);

    for my $series (@{ $self->{order} }) {
        my $value = $self->{series}{$series};

        if ($series =~ /^(\w+)_bucket\{(.*?),?le=/) {
            push(@faults, $series)
                if "$1 $2" eq ($last // '') && $value < $before;
            ($last, $before) = ("$1 $2", $value);

        } elsif ($series =~ /_count\{/ && $value != $before) {
            push(@faults, $series);
        }
    }

    return @faults;
}


sub since {
    my ($self, $before) = @_;

    my %since;

    for my $series (keys(%{ $self->{series} })) {
        next if $series =~ /_bucket|_sum|requests_total.*metrics|_ratio/;

        my $by = $self->{series}{$series} - ($before->{series}{$series} // 0);

        $since{ $series =~ s/^eventsession_//r } = $by if $by != 0;
    }

    return \%since;
}


sub shrunk {
    my ($self, $before) = @_;

    return grep {
        $self->type($_) ne 'gauge'
            && ($self->{series}{$_} // -1) < $before->{series}{$_}
    } sort(keys(%{ $before->{series} }));
}


1;

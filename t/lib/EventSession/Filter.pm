package EventSession::Filter;

# Random filters of the event log, random records for them, and what is to
# match: a judge that shares no line, and no parser, with what it judges.
#
#     srand($seed);
#
#     my @records = map { random_record($_) } 1 .. 150;
#     my $filter  = random_filter(@records);       # a tree
#     my $text    = filter_text($filter);          # as somebody may write it
#     my @right   = grep { filter_match($filter, $_) } @records;
#
# A record is one of EventSession::Log's, and has its data as a tree, too.

use strict;
use warnings;

use Exporter 'import';
use Math::BigFloat;
use POSIX ();
use Unicode::UCD ();

use EventSession::Log;

our @EXPORT = qw(random_record random_filter filter_text filter_match pick);

# days, from noon to noon, so that filters' dates lie in them and between

use constant { FIRST => 1_699_963_200_000_000, DAYS => 6,
    DAY => 86_400_000_000 };

my @words = ('order', 'Order', 'ORDER', 'cart', 'paid', 'buyer #1', '', 'AND',
    'OR', 'eq', '(', ')', '()', "')", '") OR ("', "it's", 'say "hi"',
    'a\\b', '\\', "\\'", "a' OR (b eq 'c", ' ', '  two  blanks ', "tab\there",
    "line\nend", "\x01", '%41+%', '&q=1', '#', '0', '1', '10', '9', '1.0',
    '1e1', 'true', 'null', "stra\x{df}e", "STRASSE", "\x{1e9e}",
    "\x{e9}t\x{e9}", "\x{c9}T\x{c9}", "\x{3a3}\x{3c3}\x{3c2}", "\x{212a}elvin",
    'kelvin', "\x{17f}et", "\x{130}i\x{131}I", "\x{1c4}\x{1c5}\x{1c6}",
    "\x{10400}\x{10428}", "\x{1f600}", "\x{ffff}x", "e\x{301}", "\x{13a0}",
    "\x{ab70}", "\x{2c2f}\x{2c5f}", "2023-11-15");

my @emails = ('a@shop.example', 'b@shop.example', 'B@shop.example',
    "o'neil\@shop.example", 'x+y@shop.example', 'n' x 50 . '@' . 'd' x 30,
    "\x{e9}\@shop.example");

my @environments = ('production', 'Production', 'staging', 'test (1)',
    "a' OR 'b", '"q"', "\\", "\x{65e5}\x{672c}", '#' . '0' x 40, "e\ne");

my @components = ('order', 'cart', 'AND', "c\x{df}", 'c' x 64, 'c' x 65,
    'c' x 100, 'c' x 64 . "\x{e9}");

my @names = ('a', 'b', 'key', 'another key', 'a.b', '0', '1', '', "q'u\"o",
    "\x{e9}", '(', 'AND', 'data', 'back\\slash');

my @numbers = ('0', '-0', '0.0', '1', '1.0', '1e0', '10e-1', '-1', '2', '10',
    '9', '1.5', '0.1', '1e2', '100', '123', '1e-7', '9007199254740993',
    '9007199254740992', '9223372036854775807', '-9223372036854775808',
    '18446744073709551615', '18446744073709551616', '0.30000000000000004',
    '0.3', '1E+2');


sub pick { $_[int(rand(@_))] }

sub chance { rand() < $_[0] }


sub random_text {
    return pick(@words) if chance(0.5);

    return join(pick('', ' '), map { pick(@words) } 1 .. 1 + int(rand(3)));
}


sub random_record {
    my ($n) = @_;

    # a few share their createdAt, and lie on the edges of days

    my $us = FIRST + int(rand(DAYS)) * DAY + int(rand(40)) * (DAY / 20);

    $us += pick(0, 0, 1, -1, 999_999, int(rand(1_000_000)));

    my $data = random_data(0);

    return record(
        us          => $us,
        id          => join('', map { chr(int(rand(256))) } 1 .. 16),
        email       => pick(@emails),
        environment => pick(@environments),
        component   => pick(@components),
        message     => random_text(),
        data        => $data->{json},
        tree        => $data,
    );
}


# { type, json, text or number or members or items }

sub random_data {
    my ($depth) = @_;

    my $kind = $depth == 0 && chance(0.8) ? 0 : int(rand($depth > 3 ? 4 : 6));

    if ($kind == 0 || $kind == 5) {
        return random_container($depth, $kind == 0 && chance(0.8));
    }

    if ($kind == 1) {
        my $number = pick(@numbers);
        return { type => 'number', json => $number };
    }

    if ($kind == 2) {
        my $word = pick('true', 'false', 'null');
        return { type => 'word', json => $word };
    }

    my $text = random_text();

    return { type => 'string', text => $text, json => json_string($text) };
}


sub random_container {
    my ($depth, $object) = @_;

    return { type => 'array', items => [], json => '[]' } if $depth > 4;

    if (!$object) {
        my @items = map { random_data($depth + 1) } 1 .. int(rand(4));

        return { type => 'array', items => \@items,
            json => '[' . join(',', map { $_->{json} } @items) . ']' };
    }

    my %members;

    $members{ pick(@names) } = random_data($depth + 1)
        for 1 .. int(rand(6));

    my @order = sort(keys(%members));

    return { type => 'object', members => \%members,
        json => '{' . join(',', map {
            json_string($_) . ":$members{$_}{json}"
        } @order) . '}' };
}


# As somebody may write it: data is kept as it was sent.

sub json_string {
    my ($text) = @_;

    $text =~ s{(.)}{json_char($1)}gse;

    return qq("$text");
}


sub json_char {
    my ($c) = @_;

    return "\\$c" if $c eq '"' || $c eq '\\';
    return $c if ord($c) >= 0x20 && !chance(0.05);

    return join('', map { sprintf(pick('\\u%04x', '\\u%04X'), $_) }
        ord($c) < 0x10000 ? ord($c)
            : (0xd800 + (ord($c) - 0x10000 >> 10),
               0xdc00 + (ord($c) & 0x3ff)));
}


# { and => [ … ] }, { or => [ … ] }, or { field, op, value, … }

sub random_filter {
    my (@records) = @_;

    return random_node(0, chance(0.3) ? 5 : chance(0.5) ? 2 : 1, \@records);
}


sub random_node {
    my ($depth, $most, $records) = @_;

    return random_term($records) if $depth >= $most || chance(0.25);

    return { pick('and', 'or') => [ map {
        random_node($depth + 1, $most, $records)
    } 1 .. 2 + int(rand(2)) ] };
}


sub random_term {
    my ($records) = @_;

    my $record = pick(@$records);
    my $field  = pick(qw(id email email email environment environment
        component component message createdAt createdAt data data data));

    # indexes are for eq

    my $op = $field =~ /^(?:email|env|comp)/ && chance(0.6) ? 'eq'
        : pick(qw(eq ne ct gt gte lt lte));

    my %term = (field => $field, op => $op);

    if ($field eq 'data') {
        ($term{path}, my $at) = random_path($record->{tree});
        $term{value} = random_data_value($at);

    } elsif ($field eq 'createdAt') {
        random_date(\%term, $record);

    } else {
        $term{value} = $field eq 'id' ? uuid_of($record) : $record->{$field};
    }

    if ($field ne 'createdAt') {
        $term{value} = random_text() if chance(0.15);
        $term{value} = part_of($term{value}) if $op eq 'ct' || chance(0.1);
    }

    $term{value} =~ tr/\0//d;

    return \%term;
}


# What is there, mostly.

sub random_path {
    my ($node) = @_;

    my @path;

    do {
        my @next = $node->{type} eq 'object' ? sort(keys(%{ $node->{members} }))
            : $node->{type} eq 'array' ? 0 .. $#{ $node->{items} } : ();

        push(@path, @next && !chance(0.1) ? pick(@next)
            : pick(@names, 0 .. 3, '-1', '00', '1.0'));

        $node = step($node, $path[-1]) // { type => 'none' };

    } while ($node->{type} =~ /^(?:object|array)$/ && chance(0.7));

    return (\@path, $node);
}


sub step {
    my ($node, $name) = @_;

    return $node->{members}{$name} if $node->{type} eq 'object';

    return undef if $node->{type} ne 'array' || $name !~ /^(?:0|[1-9]\d*)\z/;

    return $name < @{ $node->{items} } ? $node->{items}[$name] : undef;
}


sub random_data_value {
    my ($node) = @_;

    return pick(@numbers, '1.', '.5', '+1', '01', ' 1', 'x')
        if $node->{type} eq 'number' && chance(0.6);

    return $node->{text} // $node->{json} // random_text();
}


sub part_of {
    my ($text) = @_;

    my $length = 1 + int(rand(length($text)));
    my $part   = substr($text, int(rand(length($text) - $length + 1)),
        $length);

    return $part if $text eq '' || chance(0.4);

    return join('', map { chance(0.5) ? uc($_) : lc($_) } split(//, $part));
}


# A date as text, and its µs.

sub random_date {
    my ($term, $record) = @_;

    my $us = $record->{us} + pick(0, 0, 0, 1, -1, int(rand(DAY)));

    if ($term->{op} eq 'ct') {
        $term->{value} = part_of(created_at($us));
        return;
    }

    if (chance(0.3)) {
        $us -= $us % DAY;

        my @day = gmtime($us / 1_000_000);

        $term->{value} = sprintf(pick('%d-%d-%d', '%d-%02d-%02d', '%d-%02d-%d',
            '%d-%d-%02d'), $day[5] + 1900, $day[4] + 1, $day[3]);
        $term->{us} = $us;
        return;
    }

    my $minutes = pick(0, 0, 0, 60, 330, -90, -840);
    my $digits  = int(rand(9));

    # digits that are left out are cut off, and those behind µs, too

    my $precision = 10 ** (6 - ($digits > 6 ? 6 : $digits));

    $us -= $us % $precision;

    my $seconds = chance(0.8) || $us % 60_000_000;
    my $local   = $us + $minutes * 60_000_000;
    my $text    = POSIX::strftime('%Y-%m-%dT%H:%M',
        gmtime(POSIX::floor($local / 1_000_000)));

    substr($text, 10, 1, pick('T', 't', ' '));

    $text .= sprintf(':%02d', POSIX::floor($local / 1_000_000) % 60)
        if $seconds;
    $text .= pick('.', ',') . substr(sprintf('%06d', $us % 1_000_000)
        . '789', 0, $digits) if $seconds && $digits;

    $term->{value} = $text . offset($minutes);
    $term->{us}    = $us;
}


sub offset {
    my ($minutes) = @_;

    return pick('', 'Z', 'z', '+00:00') if !$minutes;

    my $sign = $minutes < 0 ? '-' : '+';
    my $abs  = abs($minutes);

    return sprintf(pick('%s%02d:%02d', '%s%02d%02d'), $sign, int($abs / 60),
        $abs % 60);
}


sub filter_text {
    my ($node, $inner) = @_;

    my $text;

    if ($node->{field}) {
        $text = bracketed(term_text($node));

    } else {
        my $or    = $node->{or};
        my $op    = $or ? 'OR' : 'AND';
        my @parts = map {
            my $part = filter_text($_, 1);

            # AND binds tighter: it needs no brackets below OR

            $_->{field} || $or && $_->{and} && chance(0.5)
                ? $part : bracketed($part)
        } @{ $or // $node->{and} };

        $text = join(blank() . $op . blank(), @parts);
    }

    $text = bracketed($text) while chance(0.1);

    return $text;
}


sub bracketed { '(' . blank() . $_[0] . blank() . ')' }

sub blank { pick('', '', ' ', ' ', '  ', "\t", "\r\n") }


sub term_text {
    my ($term) = @_;

    my $field = $term->{field};

    $field .= join('', map { blank() . '.' . blank() . segment($_) }
        @{ $term->{path} }) if $term->{path};

    # a word needs a blank behind it, a quote doesn't

    return $field . ($field =~ /["']\z/ ? blank() : pick(' ', "\t", '  '))
        . $term->{op} . blank() . quoted($term->{value});
}


sub segment {
    my ($name) = @_;

    return $name if $name =~ /^[^\s.()'"\x00-\x20]+\z/ && chance(0.7);

    return quoted($name);
}


sub quoted {
    my ($text) = @_;

    my $quote = pick("'", '"');

    $text =~ s{(.)}
        {$1 eq $quote || $1 eq '\\' || chance(0.02) ? "\\$1" : $1}gse;

    return "$quote$text$quote";
}


sub filter_match {
    my ($node, $record) = @_;

    return term_match($node, $record) if $node->{field};

    if ($node->{or}) {
        filter_match($_, $record) && return 1 for @{ $node->{or} };
        return 0;
    }

    filter_match($_, $record) || return 0 for @{ $node->{and} };

    return 1;
}


sub term_match {
    my ($term, $record) = @_;

    my ($field, $op) = @$term{qw(field op)};

    return data_match($term, $record) if $field eq 'data';

    if ($field eq 'createdAt') {
        return contains($record->{shown} //= created_at($record->{us}),
            $term->{value}) if $op eq 'ct';

        return holds($op, $record->{us} <=> $term->{us});
    }

    return text_match($term, $field eq 'id' ? uuid_of($record)
        : $record->{$field});
}


sub data_match {
    my ($term, $record) = @_;

    my $node = $record->{tree};

    for my $name (@{ $term->{path} }) {
        $node = step($node, $name) // return $term->{op} eq 'ne';
    }

    return text_match($term, $node->{text}) if $node->{type} eq 'string';

    return 0 if $node->{type} =~ /^(?:object|array)$/
        && $term->{op} !~ /^(?:eq|ne|ct)$/;

    if ($node->{type} eq 'number' && $term->{op} ne 'ct'
        && $term->{value} =~
            /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\z/)
    {
        return holds($term->{op},
            number($node->{json})->bcmp(number($term->{value})));
    }

    return text_match($term, $node->{json});
}


my %number;

sub number { $number{ $_[0] } //= Math::BigFloat->new($_[0]) }


sub text_match {
    my ($term, $text) = @_;

    return contains($text, $term->{value}) if $term->{op} eq 'ct';

    return holds($term->{op}, $text cmp $term->{value});
}


sub contains {
    my ($text, $part) = @_;

    return index(folded($text), folded($part)) >= 0 ? 1 : 0;
}


# Unicode's simple case folding, by Perl's own tables.

my (%folded, %fold);

sub folded {
    my ($text) = @_;

    return $folded{$text} //= join('', map { $fold{$_} //= fold($_) }
        split(//, $text));
}


sub fold {
    my ($c) = @_;

    my $entry = Unicode::UCD::casefold(ord($c));

    return $c if !$entry || $entry->{simple} eq '';

    return chr(hex($entry->{simple}));
}


sub holds {
    my ($op, $order) = @_;

    return $op eq 'eq' ? $order == 0 : $op eq 'ne' ? $order != 0
        : $op eq 'gt' ? $order > 0 : $op eq 'gte' ? $order >= 0
        : $op eq 'lt' ? $order < 0 : $order <= 0;
}


1;

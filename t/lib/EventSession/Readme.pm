package EventSession::Readme;

# README.md as tests read it: so that what they check is what is written there
# and no copy of it.
#
#     my $readme = EventSession::Readme->new;       # or ->new($path)
#
#     $readme->headings;      # { level, title, anchor, line }
#     $readme->contents;      # { level, title, anchor } of the contents
#     $readme->links;         # { target, line }
#     $readme->blocks;        # { lang, text, line, section, note, before }
#     $readme->tables('Troubleshooting');      # rows, a list of cells each
#     $readme->spans('Ready');       # what is between backquotes; of all
#                                    # sections without a title
#     $readme->directives;    # { name, syntax, default, contexts, line }
#
# A block's section is the title it stands under, its before the paragraph in
# front of it, its note an HTML comment in the line above it: <!-- … -->.  A
# section has all that is below its heading, with the headings under it.

use strict;
use warnings;

use Carp;
use Encode ();

use EventSession::Redis;


sub new {
    my ($class, $path) = @_;

    my $text = EventSession::Redis::slurp($path // 'README.md');
    croak 'there is no README.md here' if $text eq '';

    my $self = bless { lines => [ split(/\n/, $text) ], anchors => {} },
        $class;

    $self->read_lines;

    return $self;
}


sub headings { @{ $_[0]{headings} // [] } }
sub blocks   { @{ $_[0]{blocks} // [] } }


# Lines are numbered from 1; {text} has those outside of blocks.

sub read_lines {
    my ($self) = @_;

    my $section = '';
    my $block;

    for my $number (1 .. @{ $self->{lines} }) {
        my $line = $self->{lines}[$number - 1];

        if ($block) {
            if ($line eq '```') {
                undef($block);
            } else {
                $block->{text} .= "$line\n";
            }

        } elsif ($line =~ /^```(.*)/) {
            $block = { lang => $1, text => '', line => $number,
                       section => $section, $self->above($number) };
            push(@{ $self->{blocks} }, $block);

        } else {
            $section = $self->heading($1, $2, $number)
                if $line =~ /^(#+) (.*)/;

            $self->{text}[$number] = $line;
        }
    }

    croak "the block of line $block->{line} has no end" if $block;
}


sub heading {
    my ($self, $level, $title, $number) = @_;

    push(@{ $self->{headings} }, { level => length($level), title => $title,
        anchor => $self->anchor($title), line => $number });

    return $title;
}


# As GitHub makes them.

sub anchor {
    my ($self, $title) = @_;

    my $anchor = lc(Encode::decode('UTF-8', $title));

    $anchor =~ s/[^\w\- ]//g;
    $anchor =~ tr/ /-/;

    my $count = $self->{anchors}{$anchor}++;

    return Encode::encode('UTF-8', $count ? "$anchor-$count" : $anchor);
}


# The paragraph above a line, and a comment that stands between.

sub above {
    my ($self, $number) = @_;

    my $i = $number - 2;
    my ($note, @before) = ('');

    ($note, $i) = ($1, $i - 1)
        if $self->{lines}[$i] =~ /^<!-- (.*) -->$/;

    $i-- while $i > 0 && $self->{lines}[$i] eq '';

    unshift(@before, $self->{lines}[$i--])
        while $i >= 0 && $self->{lines}[$i] ne '';

    return (note => $note, before => join(' ', @before));
}


# The lines of a section that are of no block, in order, each once.

sub section {
    my ($self, $title) = @_;

    my ($start) = grep { $_->{title} eq $title } $self->headings;
    croak "README has no section $title" if !$start;

    my ($end) = grep { $_->{line} > $start->{line}
        && $_->{level} <= $start->{level} } $self->headings;

    my $last = $end ? $end->{line} - 1 : $#{ $self->{text} };

    return map { $_ // '' } @{ $self->{text} }[$start->{line} + 1 .. $last];
}


sub contents {
    my ($self) = @_;

    return map { /^( *)\* \[(.*?)\]\(#(.*?)\)$/ ? { anchor => $3,
            level => 1 + length($1) / 4, title => $2 } : () }
        $self->section('Table of Contents');
}


# Those of a line in backquotes are none.

sub links {
    my ($self) = @_;

    my @links;

    for my $number (1 .. $#{ $self->{text} }) {
        my $line = $self->{text}[$number] // next;

        $line =~ s/`[^`]*`//g;

        push(@links, { target => $1, line => $number })
            while $line =~ /\]\(([^)]+)\)/g;
    }

    return @links;
}


# The rows of a section's tables, each a list of cells; the rows of heads and
# rules are not there.

sub tables {
    my ($self, $title) = @_;

    my (@rows, $rule);

    for my $line ($self->section($title)) {
        if ($line !~ /^\|/) {
            $rule = 0;
        } elsif ($line =~ /^\|[\s:|-]+$/ && $line =~ /-/) {
            $rule = 1;
        } elsif ($rule) {
            push(@rows, [ cells($line) ]);
        }
    }

    return @rows;
}


sub cells {
    my ($line) = @_;

    $line =~ s/^\|\s*|\s*\|\s*$//g;

    return map { s/\\\|/|/gr } split(/\s*(?<!\\)\|\s*/, $line, -1);
}


sub spans {
    my ($self, $title) = @_;

    my $text = join("\n", defined $title ? $self->section($title)
        : map { $_ // '' } @{ $self->{text} });

    return map { s/\s*\n\s*/ /gr } $text =~ /`([^`]+)`/g;
}


# Sections of the second level under Directives, which say what they are in
# three paragraphs.

sub directives {
    my ($self) = @_;

    my $in = '';
    my @directives;

    for my $heading ($self->headings) {
        $in = $heading->{title} if $heading->{level} == 1;

        push(@directives, $self->directive($heading))
            if $in eq 'Directives' && $heading->{level} == 2;
    }

    return @directives;
}


sub directive {
    my ($self, $heading) = @_;

    my $text = join("\n", $self->section($heading->{title}));
    my %said = (name => $heading->{title}, line => $heading->{line});

    for my $what (qw(syntax default context)) {
        ($said{$what}) = $text =~ /^\*\*$what:\*\* (.*?)\n\n/ms
            or croak "$heading->{title} has no $what";

        $said{$what} =~ s/\n/ /g;
        $said{$what} =~ s/&lt;/</g;
        $said{$what} =~ s/&gt;/>/g;
        $said{$what} =~ s/\\([\[\]|])/$1/g;
    }

    for my $what (qw(syntax context)) {
        $said{$what} =~ s/^\*(.*)\*$/$1/
            or croak "$heading->{title}: $what is not *…*";
    }

    $said{contexts} = [ split(/, /, $said{context}) ];

    return \%said;
}


1;

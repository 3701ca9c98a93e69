package EventSession::Documents;

# The API documents of conf/: what they say, and what does not fit them.
#
#     my @findings = findings('conf/openapi.yaml');    # of public validators
#
#     my ($operations, $exchanges) = openapi($file);   # t/node/documents.js
#     my ($channels, $conversations) = asyncapi($file);    # says what is in
#
#     lacking($operations, $exchanges);     # what has no example, in words
#     silent($channels, $conversations);
#
#     locations('conf/eventsession.conf');  # where the endpoints are
#     more($text, 'client_max_body_size 10;');  # the same with directives in
#                                           # each location, for those there
#
#     masked($text, 'id', 'createdAt');     # without the values of these keys
#     misfits($t, $file, [ $pointer, $json ], ...);   # by JSON Schema

use strict;
use warnings;

use Carp;
use Exporter 'import';
use JSON::PP ();
use List::Util qw(uniq);

use EventSession::Node;
use EventSession::Redis;

our @EXPORT = qw(findings openapi asyncapi lacking silent locations more
    masked misfits);


sub findings {
    my @findings = counted(scalar(@_), 'valid', @_);

    return map { join(' ', @$_) } @findings;
}


# A script that has failed says nothing, which is no praise.

sub counted {
    my ($n, @arguments) = @_;

    my @lines = EventSession::Node->run('documents.js', @arguments);
    my $count = pop(@lines);

    croak "documents.js @arguments: not all of it was looked at"
        if !defined $count || ref($count) || $count != $n;

    return @lines;
}


sub openapi { parted('operation', 'exchange', 'exchanges', @_) }


sub asyncapi { parted('channel', 'conversation', 'conversations', @_) }


sub parted {
    my ($one, $other, $command, $file) = @_;

    my @all = EventSession::Node->run('documents.js', $command, $file);

    croak "$file: nothing is in there" if !@all;

    return ([ grep { $_->{what} eq $one } @all ],
            [ grep { $_->{what} eq $other } @all ]);
}


# Each status has to have an example, and each example of a request an answer.

sub lacking {
    my ($operations, $exchanges) = @_;

    my (%answered, %sent, @lacking);

    for my $one (@$exchanges) {
        $answered{"$one->{operationId} $one->{status}"} = 1;

        $sent{ example_of($one->{url}, $_) } = 1
            for @{ $one->{parameters} }, $one->{body} // ();
    }

    for my $operation (@$operations) {
        push(@lacking, map { "no example: $_" } grep { !$answered{$_} }
            map { "$operation->{operationId} $_" } @{ $operation->{statuses} });

        push(@lacking, map { "no answer: $_" } grep { !$sent{$_} }
            map { example_of($operation->{url}, $_) }
            @{ $operation->{examples} });
    }

    return uniq(@lacking);
}


sub example_of {
    my ($url, $example) = @_;

    return join(' ', $url, $example->{parameter} // 'body', $example->{name});
}


# Each example of a message has to be said, and each code be given, and no other
# one.

sub silent {
    my ($channels, $conversations) = @_;

    my %said = map { $_ => 1 } map { ($_->{send} // (), $_->{receive} // ()) }
        map { @{ $_->{steps} } } @$conversations;

    my %closed = map { $_ => 1 }
        map { $_->{close} ? $_->{close}{code} : () } @$conversations;

    my @silent;

    for my $channel (@$channels) {
        my $messages = $channel->{messages};

        my %kinds = map { $_->{message} => 1 } values(%$messages);
        my %codes = map { $_ => 1 } @{ $channel->{codes} };

        push(@silent, map { "no example: $_" } grep { !$kinds{$_} }
            @{ $channel->{kinds} });
        push(@silent, map { "not said: $_" } grep { !$said{$_} }
            sort(keys(%$messages)));
        push(@silent, map { "nobody closes with $_" } grep { !$closed{$_} }
            sort(keys(%codes)));
        push(@silent, map { "not described: $_" } grep { !$codes{$_} }
            sort(keys(%closed)));
    }

    return @silent;
}


# By the way that nginx writes them: "= /event", "/session/".

sub locations {
    my ($file) = @_;

    return EventSession::Redis::slurp($file) =~ /^\s*location ([^{]+?) \{/mg;
}


sub more {
    my ($text, $directives) = @_;

    for my $name ($directives =~ /(\w+) [^;]*;/g) {
        $text =~ s/^\s*\Q$name\E [^;]*;\n//mg;
    }

    return $text =~ s/^(location [^{]+ \{)$/$1\n    $directives/mgr;
}


# Of JSON, and of Server-Sent Events, by their keys; "nginx" is the version in
# its pages.

sub masked {
    my ($text, @names) = @_;

    for my $name (@names) {
        $text =~ s{("\Q$name\E":)(?:"(?:[^"\\]|\\.)*"|-?[\d.]+)}{$1?}g;
        $text =~ s/^(\Q$name\E: ).*$/$1?/mg;
    }

    return $text;
}


sub misfits {
    my ($t, $file, @pairs) = @_;

    my $list = $t->folder('schemas') . '/list';

    open(my $out, '>', $list) or croak "$list: $!";
    print {$out} map { JSON::PP::encode_json($_) . "\n" } @pairs;
    close($out);

    return map { join(': ', @$_) }
        counted(scalar(@pairs), 'match', $file, $list);
}


1;
